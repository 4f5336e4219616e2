"""The running of work, whatever the work is: durable files, pipelines in threads, interruption, progress."""
