"""Generators of synthetic sets, one file each, in layouts that a reader reads; this folder is their registry."""
