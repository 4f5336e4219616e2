"""Generators of synthetic sets, one file each, in layouts that a reader reads."""
