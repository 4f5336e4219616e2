"""Synthetic scenes as those of `shapes`, with one object each: where it is can be asked without asking which."""

from pathlib import Path

from foresight_cache.datasets.synthetic import shapes


def generate(root: Path, *, count: int, seed: int) -> None:
    """As `shapes.generate`."""
    shapes.generate(root, count=count, seed=seed, most=1)
