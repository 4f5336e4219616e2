"""Training of runs on a point: a bank that shares out task batches and threads, and solvers of closed forms."""
