"""Counts of tokens: what was found at a tap is what the grid has, or nothing is kept of it."""

from collections.abc import Sequence

from foresight_cache.errors import FeatureError
from foresight_cache.samples import Grid


def check_samples(found: Sequence[int], grids: Sequence[Grid], place: str) -> None:
    """Raises `FeatureError` where the visual tokens `found` of a sample, or the number of samples, are not the grids'.

    >>> check_samples([6, 6], [Grid(1, 2, 3), Grid(1, 2, 3)], "vit.pre_merge")
    >>> check_samples([6, 7], [Grid(1, 2, 3), Grid(1, 2, 3)], "vit.pre_merge")
    Traceback (most recent call last):
    ...
    foresight_cache.errors.FeatureError: vit.pre_merge has 7 visual tokens for number 2 of 2 inputs, ...
    """
    if len(found) != len(grids):
        raise FeatureError(f"{place} has tokens of {len(found)} inputs, {len(grids)} went into the model; {_ADVICE}")
    for number, (count, grid) in enumerate(zip(found, grids, strict=True), start=1):
        if count != grid.tokens:
            raise FeatureError(
                f"{place} has {count} visual tokens for number {number} of {len(grids)} inputs, expected the "
                f"{grid.tokens} of its grid {grid.t} × {grid.h} × {grid.w}; {_ADVICE}"
            )


def check_total(found: int, expected: int, place: str) -> None:
    """Raises `FeatureError` where a batch has more or fewer tokens than all of its samples together."""
    if found != expected:
        raise FeatureError(f"{place} has {found} tokens for a batch, expected {expected}; {_ADVICE}")


_ADVICE = (
    "nothing of it is kept; the model's configuration, its processor and the installed transformers do not fit together"
)
