"""A cache of merged tokens: the mean of neighbouring ones stands for them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from foresight_cache.errors import CacheError, UsageError
from foresight_cache.format.commits import Commit, SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout
from foresight_cache.reader import Cache
from foresight_cache.rewriting.shard_by_shard import copy_point, rewrite
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.samples import Grid
from foresight_cache.writer import PendingShard, ShardWriter

FIELD = "tokens"
"""Field of the fingerprint that says how tokens were merged."""
MERGED_LEVELS = ("patch", "merged")
"""Levels of tokens that have neighbours in the picture."""


def merge_tokens(
    source: Cache,
    cells: int,
    out: str | os.PathLike[str],
    points: Sequence[str] | None = None,
    *,
    advance: Advance = silent,
) -> None:
    """Writes a cache whose tokens are the means of those of `cells` × `cells` neighbours of another cache.

    A token at the edge of a grid that `cells` does not divide is the mean of the neighbours that are there. Means are
    computed in float64 and stored in the type of the point; pixels and labels are copied. The fingerprint is that of
    the source with the field `tokens`. A second run goes on with what is missing, and several may run at once.

    Args:
        source: A cache.
        cells: Rows and columns that become one, at least 2.
        out: Place of the new cache.
        points: Names, aliases or patterns of points with tokens on a grid; None for all of them.
        advance: Called for each shard with its numbers of samples and of bytes.

    Raises: `UsageError` for points without a grid, for too few cells and for a source that is merged already;
        `CorruptCache` where the source is not as it was written; `CacheError` for a foreign cache at `out`.
    """
    if cells < 2:
        raise UsageError(f"--cells is {cells}, expected at least 2 rows and columns of tokens that become one")
    if FIELD in source.fingerprint:
        raise UsageError(f"the tokens of {source.path} are merged already; take the cache that it was made from")
    chosen = _chosen(source, points)
    copied = [name for name in source.arrays if source.layout.points[name].level == "pixel"]
    layouts = {name: source.layout.points[name] for name in source.layout.points if name in (*chosen, *copied)}
    wanted = CacheLayout(
        fingerprint={**source.fingerprint, FIELD: {"merged": cells, "by": "mean"}},
        samples_per_shard=source.layout.samples_per_shard,
        shards=source.layout.shards,
        points={name: _merged_layout(source, own, cells) for name, own in layouts.items()},
    )

    numbers = {row["slot"]: number for number, row in enumerate(source.rows)}

    def write(commit: Commit, pending: PendingShard, shard: ShardWriter) -> None:
        for name in pending.points:
            if name in copied:
                copy_point(source, commit, shard, name)
            else:
                _write_point(source, commit, shard, name, numbers, cells)
        known = {name: commit.objects[name] for name in pending.points if name in copied}
        shard.commit(_merged_commit(commit, cells).rows, known=known)

    rewrite(source, wanted, out, write, becomes=lambda commit: _merged_commit(commit, cells), advance=advance)


def _write_point(
    source: Cache, commit: Commit, shard: ShardWriter, name: str, numbers: Mapping[int, int], cells: int
) -> None:
    """Writes the merged tokens of a shard's good samples at a point; `numbers` are those of the samples by slot."""
    point, first = source[name], commit.shard * source.layout.samples_per_shard
    for position, row in enumerate(commit.rows):
        if row.status == "ok":
            number = numbers[first + position]
            means_ND = merged_tokens(point.stored(number), point.grid_of(number), cells)
            shard.add(position, name, means_ND.astype(point.dtype))


def merged_grid(grid: Grid, cells: int) -> Grid:
    """Returns the grid of merged tokens; its last row and column may stand for fewer.

    >>> merged_grid(Grid(1, 4, 5), 2)
    Grid(t=1, h=2, w=3)
    """
    return Grid(grid.t, -(-grid.h // cells), -(-grid.w // cells))


def merged_tokens(tokens_ND: np.ndarray, grid: Grid, cells: int) -> np.ndarray:
    """Returns the means of `cells` × `cells` neighbouring tokens of each frame, float64 [N, D] in raster order.

    >>> merged_tokens(np.arange(6.0).reshape(6, 1), Grid(1, 2, 3), 2)[:, 0].tolist()  # rows 0 1 2 and 3 4 5
    [2.0, 3.5]
    """
    tokens_THWD = tokens_ND.astype(np.float64).reshape(*grid, -1)
    rows, columns = np.arange(0, grid.h, cells), np.arange(0, grid.w, cells)
    sums_THWD = np.add.reduceat(np.add.reduceat(tokens_THWD, rows, axis=1), columns, axis=2)
    heights, widths = (np.diff([*starts, length]) for starts, length in ((rows, grid.h), (columns, grid.w)))
    means_THWD: np.ndarray = sums_THWD / (heights[:, None] * widths)[None, :, :, None]
    return means_THWD.reshape(-1, tokens_ND.shape[1])


def _chosen(source: Cache, points: Sequence[str] | None) -> list[str]:
    """Returns the points whose tokens are merged."""
    named = source.points if points is None else source.select(points)
    levels = {name: source.layout.points[name].level for name in named}
    without = [name for name, level in levels.items() if level not in (*MERGED_LEVELS, "pixel")]
    if without and points is not None:
        raise UsageError(f"{', '.join(without)} of {source.path} has no tokens on a grid to be merged; name others")
    chosen = [name for name, level in levels.items() if level in MERGED_LEVELS]
    if not chosen:
        raise UsageError(f"{source.path} has no point of those named with tokens on a grid; name some with --points")
    return chosen


def _merged_layout(source: Cache, point: PointLayout, cells: int) -> PointLayout:
    """Returns the layout of a point: of samples of one size that of the merged grid, of several one with their room."""
    if point.level not in MERGED_LEVELS or point.tokens_per_chunk < point.tokens:
        return point
    grids = {merged_grid(grid, cells) for grid in source.grids[point.level]}
    if not grids:
        raise CacheError(f"{source.path} has no sample that is not quarantined, so that there are no tokens to merge")
    tokens = max(grid.tokens for grid in grids)
    return replace(point, tokens=tokens, tokens_per_chunk=tokens)


def _merged_commit(commit: Commit, cells: int) -> Commit:
    """Returns a commit with the grids of merged tokens."""
    return replace(commit, rows=tuple(_merged_row(row, cells) for row in commit.rows))


def _merged_row(row: SampleRow, cells: int) -> SampleRow:
    merged = {level: merged_grid(grid, cells) for level, grid in row.grids.items() if level in MERGED_LEVELS}
    pixels = {level: grid for level, grid in row.grids.items() if level == "pixel"}
    return replace(row, grids={**pixels, **merged})
