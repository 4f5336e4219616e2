"""Readers of raw folders, one file per published layout; this folder is their registry."""
