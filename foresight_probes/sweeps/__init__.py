"""Sweeps: which runs are wanted, their targets and splits, the plan of what is missing, the loop that trains it."""
