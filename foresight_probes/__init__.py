"""Probes that are trained from a cache alone; here are the options, splits and batches that all parts share."""
