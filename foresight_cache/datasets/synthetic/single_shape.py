"""Makes scenes like those of `shapes` with one object each: where it is can be asked without asking which."""

from pathlib import Path

from foresight_cache.datasets.synthetic import shapes

TAKES_SOURCE = False


def generate(root: Path, *, count: int, seed: int) -> None:
    """Writes `count` scenes of one object each, otherwise as `shapes.generate` does."""
    shapes.generate(root, count=count, seed=seed, most=1)
