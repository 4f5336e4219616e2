"""Extraction: the plan of a cache, sizes and batches of inputs through the frozen model, checks of features, what runs
out of memory, recording, and the rerun that verifies a cache."""
