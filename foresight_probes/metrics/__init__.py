"""Metrics, one file per family: scores of single samples, and the metrics of many resamples of these at once."""
