"""Sweeps: which runs are wanted, the plan of those that are missing, and the loop that trains them."""
