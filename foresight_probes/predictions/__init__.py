"""Predictions of finished runs, made again from their stored weights, and what they look like beside the truth."""
