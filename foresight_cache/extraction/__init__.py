"""Extraction: the plan of a cache, inputs in batches through the frozen model, what runs out of memory, recording, and
the rerun that checks a cache."""
