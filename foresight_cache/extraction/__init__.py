"""Extraction: the plan of a cache, inputs in batches through the frozen model, copies to the host, recording."""
