"""Metrics (`box_metrics`, `perceptual`, …): scores of single samples, and metrics of many resamples of them at once."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Scores: TypeAlias = np.ndarray | Sequence[np.ndarray]
"""Scores of several samples, a flat float64 array each: [S, V] where all have V numbers, so that a thousand resamples
of many samples take no time, else a list."""
