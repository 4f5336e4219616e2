"""Training of runs on a point: a bank of single heads and batched linear ones, its task batches, threads; solvers."""
