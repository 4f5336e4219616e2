"""Figures of a report, one file per kind, drawn in one style."""
