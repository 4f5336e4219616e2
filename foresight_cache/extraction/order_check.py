"""The order of tokens, checked on the model's own weights with the samples of a shard before it is committed."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from foresight_cache.errors import FeatureError
from foresight_cache.extraction.order_scores import TARGETS, narrowed, patch_targets, places, ridge_scores
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import PointLayout
from foresight_cache.points import computation_order
from foresight_cache.samples import Grid
from foresight_cache.token_order import ORDERS, RASTER, best_order

_SAMPLES = 64
"""Samples of a shard that are looked at, the first ones."""
_LEAST_SAMPLES = 12
_TOKENS = 2048
"""Tokens at a point that are enough."""
_WIDTH = 128
"""Channels that are enough."""
_ORDER_NAMES = {
    "merge_groups": "the order of merge groups",
    "windows": "the order of windows",
    "window_units": "the order of merge groups in windows",
}


class OrderCheck:
    """Tokens of some samples at all points with a grid, and the patches that lie at their places in each order."""

    def __init__(self, points: Mapping[str, PointLayout], samples: int) -> None:
        """Takes the layouts of the points that are computed, and the number of samples of the shard."""
        self._levels = {
            name: point.level
            for name, point in points.items()
            if "@" not in name and point.level in ("patch", "merged")
        }
        self._per_sample = max(32, _TOKENS // max(1, min(samples, _SAMPLES)))
        self._targets: dict[tuple[str, int], NDArray[np.float32]] = {}
        self._tokens: dict[tuple[str, int], np.ndarray] = {}
        self._moved: dict[str, set[str]] = {level: set() for level in ("patch", "merged")}

    def add(
        self,
        positions: Sequence[int],
        rows: Sequence[SampleRow],
        pixels: Sequence[np.ndarray],
        features: Mapping[str, Sequence[np.ndarray]],
    ) -> None:
        """Adds samples by their positions in the shard, with what the model sees of their pixels, [T, H, W, 3]."""
        for number, position in enumerate(positions):
            if position >= _SAMPLES:
                continue
            for level in set(self._levels.values()) & rows[number].grids.keys():
                self._add_targets(level, position, rows[number].grids[level], pixels[number])
            for point in self._levels.keys() & features.keys():
                tokens_ND = features[point][number]
                self._tokens[point, position] = tokens_ND[self._chosen(len(tokens_ND), position)].copy()

    def scores(self) -> dict[str, dict[str, float]]:
        """Returns by point the scores of all orders that can be told apart on its grids; none of too few samples."""
        return {point: self._scores(point) for point in self._levels}

    def _add_targets(self, level: str, position: int, grid: Grid, pixels_THWC: np.ndarray) -> None:
        orders = _all_places(grid, level == "merged")
        self._moved[level] |= {order for order, cells in orders.items() if (cells != orders[RASTER]).any()}
        chosen = self._chosen(grid.tokens, position)
        cells = np.concatenate([orders[order][chosen] for order in ORDERS])
        targets = patch_targets(pixels_THWC, grid, cells)
        self._targets[level, position] = targets.reshape(len(ORDERS), len(chosen), TARGETS)

    def _chosen(self, tokens: int, position: int) -> NDArray[np.int64]:
        """Returns which of a sample's tokens are looked at; the same at all points of a level."""
        draw = np.random.default_rng(position)
        return np.sort(draw.choice(tokens, min(tokens, self._per_sample), replace=False))

    def _scores(self, point: str) -> dict[str, float]:
        level = self._levels[point]
        positions = sorted(position for name, position in self._tokens if name == point)
        if len(positions) < _LEAST_SAMPLES:
            return {}
        tokens_ND = np.concatenate([self._tokens[point, position] for position in positions]).astype(np.float32)
        targets_ONC = np.concatenate([self._targets[level, position] for position in positions], axis=1)
        lengths = [len(self._tokens[point, position]) for position in positions]
        tested_N = np.repeat(np.arange(len(positions)) % 3 == 2, lengths)
        orders = [RASTER, *(order for order in ORDERS if order in self._moved[level])]
        found = ridge_scores(
            narrowed(tokens_ND, _WIDTH), [targets_ONC[ORDERS.index(order)] for order in orders], tested_N
        )
        return {order: round(score, 3) for order, score in zip(orders, found, strict=True)}


def check_orders(scores: Mapping[str, Mapping[str, float]]) -> None:
    """Raises `FeatureError` where tokens at a point are clearly in another order than raster."""
    for point in sorted(scores, key=computation_order):
        found = scores[point]
        best = best_order(found)
        if best is not None and best != RASTER:
            raise FeatureError(
                f"{point} is in {_ORDER_NAMES[best]} and not in raster order: its tokens tell what lies at their "
                f"places with R² {found[best]:.2f} in that order and {found[RASTER]:.2f} in raster order; nothing of "
                "its shard was kept; the installed transformers orders tokens otherwise than foresight-cache expects, "
                "so use another version of it"
            )


@lru_cache(maxsize=256)
def _all_places(grid: Grid, merged: bool) -> dict[str, NDArray[np.int64]]:
    return {order: places(order, grid, merged=merged) for order in ORDERS}
