"""Extraction: the plan of a cache, what inputs are made of samples and in which batches they go through the frozen
model, checks of features, what runs out of memory, recording, and the rerun that verifies a cache."""
