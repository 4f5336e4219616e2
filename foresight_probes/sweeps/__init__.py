"""Which runs are wanted, which are missing, and the loop that trains these and writes their results."""
