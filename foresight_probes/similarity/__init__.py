"""Similarity between the points of one cache or of two, and what of it chance would make."""
