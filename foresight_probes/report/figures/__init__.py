"""Figures of a report, one file per kind."""
