"""Batches of features from a cache: sources, sampling, memory, standardization, and the cells of tokens."""
