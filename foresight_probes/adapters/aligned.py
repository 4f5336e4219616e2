"""Points of several caches and the latents of the same clips, joined by the samples' ids."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from foresight_cache.errors import UsageError
from foresight_cache.points import PIXELS, Point
from foresight_cache.reader import Cache
from foresight_cache.sample_table import SampleTableRow
from foresight_cache.samples import Grid
from foresight_probes.adapters.lattice import Lattice
from foresight_probes.adapters.networks.layers.base import TokenStream
from foresight_probes.features.sources import POINT_SEPARATOR, PointTokens

LATENT, RECONSTRUCTION = "vae.latent", "vae.reconstruction"
"""Arrays of a cache of latents: what is predicted, and what the frozen VAE makes of it, the oracle."""
NUMBER_SEPARATOR = ":"
"""What stands between the number of a cache, from 1, and a point of it: `2:vit.block_06`."""
_SAME = {
    "group": "group",
    "media": "kind of media",
    "frame_indices": "frames",
    "reversed": "direction in time",
    "width": "original width",
    "height": "original height",
    "fit": "fit",
    "grid_pixel": "frames and size in pixels",
}
"""Fields of a sample that all caches must share, and what they are in words."""


@dataclass(frozen=True, slots=True)
class PointOf:
    """A point of one of the caches."""

    cache: int
    """Number of its cache, from 0."""
    name: str

    def __str__(self) -> str:
        """How it is named on the command line: with the number of its cache, but for the first."""
        return f"{self.cache + 1}{NUMBER_SEPARATOR}{self.name}" if self.cache else self.name


@dataclass(frozen=True)
class Aligned:
    """Caches of tokens and one of latents, of the same clips; samples are counted in the order of the latents' rows.

    Raises `UsageError` where samples, frames or sizes differ, or there is no latent.
    """

    tokens: tuple[Cache, ...]
    latents: Cache

    def __post_init__(self) -> None:
        if LATENT not in self.latents.points:
            raise UsageError(
                f"{self.latents.path} has no {LATENT} ({', '.join(self.latents.points)}); make a cache of latents with "
                "foresight extract --model Lightricks/LTX-Video/vae --points 'vae.*'"
            )
        for cache in self.tokens:
            _check_same_samples(cache, self.latents)

    @cached_property
    def rows(self) -> tuple[tuple[int, ...], ...]:
        """Rows of each sample in the caches of tokens and, the last, of latents. Quarantined samples are left out.

        Raises `UsageError` where none are left.
        """
        caches = (*self.tokens, self.latents)
        by_id = [{row["id"]: number for number, row in enumerate(cache.rows)} for cache in caches]
        joined = [tuple(own[row["id"]] for own in by_id) for row in self.latents.rows]
        found = [numbers for numbers in joined if _are_good(caches, numbers)]
        if not found:
            raise UsageError(f"no sample of {self.latents.path} is good in all of {len(caches)} caches")
        return tuple(found)

    @property
    def left_out(self) -> int:
        """Number of samples that are quarantined in one of the caches."""
        return len(self.latents.rows) - len(self.rows)

    @cached_property
    def samples(self) -> list[SampleTableRow]:
        """The samples' rows of the table of latents."""
        return [self.latents.rows[numbers[-1]] for numbers in self.rows]

    @cached_property
    def latent_grid(self) -> Grid:
        """The grid of all latents. Raises `UsageError` where they have several."""
        return _one_grid(self.latents, LATENT, [numbers[-1] for numbers in self.rows])

    @property
    def lattice(self) -> Lattice:
        """Where the cells of the latents lie."""
        return Lattice.of_latent(self.latent_grid, self.frames)

    @property
    def frames(self) -> int:
        """Frames of each clip; 1 of an image."""
        return max(1, len(self.samples[0]["frame_indices"]))

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.latents[LATENT].shape[2]

    def latent(self, sample: int) -> np.ndarray:
        """Returns a sample's latent, [Q, C] float32 in raster order."""
        return self.latents[LATENT][self.rows[sample][-1]]

    def source(self, point: PointOf) -> "JoinedTokens":
        """Opens a point, whose rows are then those of the joined samples."""
        return JoinedTokens(self, point)

    def stream(self, point: PointOf) -> TokenStream:
        """Returns how wide a point is and where its tokens lie. Raises `UsageError` where samples differ in that."""
        cache = self.tokens[point.cache]
        grid = _one_grid(cache, point.name, [numbers[point.cache] for numbers in self.rows])
        is_latent = "latent" in cache.fingerprint["model"]
        lattice = Lattice.of_latent(grid, self.frames) if is_latent else Lattice.of_tokens(grid, self.frames)
        return TokenStream(cache[point.name].shape[2], lattice)

    def parse(self, text: str) -> tuple[tuple[PointOf, ...], ...]:
        """Returns what an element of `--points` names: several points, each alone, or such that are taken at once.

        `vit.*` are all that it fits, `A+B` is one pair, `2:A` is of the second cache. Raises `UnknownName` and
        `UsageError`.
        """
        parts = [self._named(part) for part in text.split(POINT_SEPARATOR)]
        if len(parts) == 1:
            return tuple((point,) for point in parts[0])
        if many := next((part for part in parts if len(part) > 1), None):
            raise UsageError(f"{text!r} joins {len(many)} points by one of its names; name single points beside a '+'")
        return (tuple(point for part in parts for point in part),)

    def _named(self, text: str) -> list[PointOf]:
        first, separator, name = text.strip().partition(NUMBER_SEPARATOR)
        is_numbered = bool(separator) and first.isdecimal()
        number = int(first) - 1 if is_numbered else 0
        if not 0 <= number < len(self.tokens):
            raise UsageError(f"{text!r} names cache {first}, and {len(self.tokens)} caches of tokens are given")
        cache = self.tokens[number]
        found = [PointOf(number, point) for point in cache.select([name if is_numbered else text.strip()])]
        for point in found:
            _check_tokens(cache, point.name)
        return found


class JoinedTokens:
    """The tokens of a point by the numbers of joined samples; a `Source`."""

    def __init__(self, aligned: Aligned, point: PointOf) -> None:
        self.name = str(point)
        self._own = PointTokens(aligned.tokens[point.cache], point.name)
        self._rows = [numbers[point.cache] for numbers in aligned.rows]
        self.width, self.dtype = self._own.width, self._own.dtype

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:
        self._own.read_into(self._rows[row], out_ND, check=check)

    def grid(self, row: int) -> Grid:
        return self._own.grid(self._rows[row])

    def shard(self, row: int) -> int:
        return self._own.shard(self._rows[row])


def _check_tokens(cache: Cache, name: str) -> None:
    level = cache.layout.points[name].level
    if name == PIXELS or level not in ("patch", "merged") or Point.parse(name).readout != "tokens":
        raise UsageError(
            f"{name} of {cache.path} has no tokens on a grid, which adapters bring to that of the latents; name points "
            "such as vit.pre_merge or llm.layer_14"
        )


def _one_grid(cache: Cache, name: str, rows: Sequence[int]) -> Grid:
    grids = sorted({cache[name].grid_of(row) for row in rows})
    if len(grids) > 1:
        shown = ", ".join("×".join(map(str, grid)) for grid in grids[:3])
        raise UsageError(
            f"samples of {name} in {cache.path} have {len(grids)} grids ({shown}), and an adapter is made for one; "
            "extract them with one --size and one --frames"
        )
    return grids[0]


def _are_good(caches: Sequence[Cache], numbers: Sequence[int]) -> bool:
    return all(cache.rows[number]["status"] == "ok" for cache, number in zip(caches, numbers, strict=True))


def _check_same_samples(cache: Cache, latents: Cache) -> None:
    """Raises `UsageError` with the field and how many samples differ in it."""
    own, other = ({row["id"]: row for row in each.rows} for each in (cache, latents))
    for one, rest, missing in (
        (cache, latents, other.keys() - own.keys()),
        (latents, cache, own.keys() - other.keys()),
    ):
        if missing:
            raise UsageError(
                f"samples differ (id): {len(missing)} of {len(rest)} samples of {rest.path} are not in {one.path}, "
                f"such as {min(missing)}; extract both from the same shards"
            )
    for field, what in _SAME.items():
        pairs = _values(own, other, field)
        differing = [name for name, (mine, theirs) in pairs.items() if _differ(field, mine, theirs)]
        if differing:
            mine, theirs = pairs[differing[0]]
            raise UsageError(
                f"{what} differ ({field}) in {len(differing)} of {len(pairs)} samples of {cache.path} and "
                f"{latents.path}: {differing[0]} has {_short(mine)} and {_short(theirs)}; extract both with the same "
                "--frames, --size and --fit"
            )


def _differ(field: str, one: Any, other: Any) -> bool:
    if field == "reversed":  # None where it was not asked for, which is forwards
        return bool(one) != bool(other)
    return bool(one != other) and not (field == "grid_pixel" and None in (one, other))


def _values(
    own: Mapping[str, SampleTableRow], other: Mapping[str, SampleTableRow], field: str
) -> dict[str, tuple[Any, Any]]:
    """Returns a field of the samples that are good in both, by id."""
    rows: Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = ((name, own[name], other[name]) for name in own)
    return {
        name: (one[field], two[field]) for name, one, two in rows if one["status"] == "ok" and two["status"] == "ok"
    }


def _short(value: Any) -> str:
    text = repr(tuple(value) if isinstance(value, tuple) else value)
    return text if len(text) < 60 else f"{text[:57]}…"
