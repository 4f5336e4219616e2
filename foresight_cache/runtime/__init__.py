"""The running of work, whatever the work is: durable files, claims on parts of it, pipelines in threads,
interruption, schedulers, progress."""
