"""Extraction: the plan of a cache, sizes and batches of inputs through the frozen model, what runs out of memory,
recording, and the rerun that checks a cache."""
