"""How work runs, whatever the work is: durable files, threads ahead and behind, interruption, progress."""
