"""Caches made from caches, without the model: with other codecs, or with tokens merged."""
