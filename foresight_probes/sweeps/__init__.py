"""Sweeps: which runs are wanted, their targets and splits, the plan of what is missing, and the loop that trains the
runs of one point after another."""
