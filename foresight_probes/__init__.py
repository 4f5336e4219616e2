"""Probes that are trained from a cache alone; here are the training options, splits, and the tensors of a batch."""
