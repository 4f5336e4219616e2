"""Metrics, one file per family; each study and each task uses these and no other implementation."""
