"""Readers of raw folders, one file per published layout."""
