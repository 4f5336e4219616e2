"""Tokens at the same random places of a cache's samples, whatever the grid of the point that they are read at."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.geometry import shown
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.similarity.chance import choose
from foresight_probes.studies.named_points import named_points
from foresight_probes.studies.token_classes import TokenClasses
from foresight_probes.sweeps.targets import usable_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledTokens:
    """Tokens of one point with what is known of each."""

    features_ND: np.ndarray
    """float32."""
    steps_N: np.ndarray
    """Time step, int; 0 for images."""
    rows_N: np.ndarray
    """Height of the centre as a fraction of the input, 0 at the top."""
    columns_N: np.ndarray
    """The same from the left."""
    classes_N: np.ndarray
    """Class by the task `patch-class`, int; -1 where nobody knows it."""
    groups: tuple[str, ...]


def choose_rows(cache: Cache, most: int) -> list[int]:
    """Returns rows of one good sample of each group, of so many at most: those whose hashes are the smallest."""
    usable = usable_rows(cache)
    return [usable[position] for position in choose([cache.rows[row] for row in usable], most)]


def dense_points(cache: Cache, texts: Sequence[str]) -> list[str]:
    """Returns the points that texts mean and that hold more than one token of a sample, in order of computation."""
    named = {name for text in texts for name in named_points(text, cache)}
    return [name for name in cache.points if name in named and name != PIXELS and cache[name].shape[1] > 1]


class Places:
    """Random places of chosen samples: in cells of the coarsest of some points' grids, at most one in each."""

    def __init__(self, cache: Cache, rows: Sequence[int], points: Sequence[str], each: int) -> None:
        """Draws up to `each` places in every sample by a hash of its id, in the part that shows the picture."""
        self._cache = cache
        self._classes = TokenClasses(cache, rows)
        self._places = {row: self._drawn(row, points, each) for row in rows}
        """Fractions of time, height and width, float [K, 3]."""

    @property
    def classes(self) -> TokenClasses:
        """What tokens show."""
        return self._classes

    def read(self, point: str) -> SampledTokens:
        """Returns the tokens of a point whose cells hold the places."""
        features, places, classes, groups = [], [], [], []
        for row, places_K3 in self._places.items():
            grid = self._cache[point].grid_of(row)
            cells_K3 = np.minimum(places_K3 * grid, np.array(grid) - 1e-9).astype(np.int64)
            numbers_K = (cells_K3[:, 0] * grid.h + cells_K3[:, 1]) * grid.w + cells_K3[:, 2]
            features.append(self._cache[point][row][numbers_K])
            classes.append(self._classes.of(row, grid)[numbers_K])
            places.append(np.column_stack([cells_K3[:, 0], (cells_K3[:, 1:] + 0.5) / grid[1:]]))
            groups += [str(self._cache.rows[row]["group"])] * len(numbers_K)
        if not groups:
            raise ProbeError(f"{self._cache.path} has no sample that can be shown")
        found_N3 = np.concatenate(places)
        return SampledTokens(
            features_ND=np.concatenate(features).astype(np.float32),
            steps_N=found_N3[:, 0].astype(np.int64),
            rows_N=found_N3[:, 1],
            columns_N=found_N3[:, 2],
            classes_N=np.concatenate(classes),
            groups=tuple(groups),
        )

    def _drawn(self, row: int, points: Sequence[str], each: int) -> np.ndarray:
        grids = [self._cache[point].grid_of(row) for point in points]
        coarse = Grid(*(min(grid[axis] for grid in grids) for axis in range(3)))
        sample = self._cache.rows[row]
        digest = hashlib.sha256(f"tokens {sample['id']}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        cells = generator.permutation(coarse.tokens)
        cells_N3 = np.column_stack(np.unravel_index(cells, coarse))
        places_N3 = (cells_N3 + generator.uniform(size=cells_N3.shape)) / coarse
        pixel = sample["grid_pixel"] or (1, 1, 1)
        size, parts = pixel[1:], shown(sample)
        inside_N = np.ones(len(places_N3), bool)
        for axis, (length, part) in enumerate(zip(size, parts, strict=True), start=1):
            inside_N &= (places_N3[:, axis] * length >= part.start) & (places_N3[:, axis] * length < part.stop)
        kept: np.ndarray = places_N3[inside_N][:each]
        return kept
