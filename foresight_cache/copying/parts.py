"""Parts of a cache that are themselves caches: some of its points, and its shards up to a number."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from foresight_cache.errors import UsageError
from foresight_cache.format.commits import Commit, SampleRow
from foresight_cache.format.layout import CacheLayout
from foresight_cache.lists import split_list
from foresight_cache.points import LABELS, PIXELS
from foresight_cache.reader import Cache

_RANGE = re.compile(r"(\d*):(\d*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """Points and shards that are asked for."""

    points: tuple[str, ...]
    """Names of arrays in the order of computation; `labels` and `pixels`, which every extraction keeps, among them."""
    shards: tuple[int, ...]
    """Numbers, ascending; one or more."""


def chosen_part(cache: Cache, points: str | None = None, shards: str | None = None) -> Part:
    """Returns the part that `--points` and `--shards` choose; all that the root lists where they say nothing.

    Raises `UnknownName` and `UsageError`.
    """
    names = tuple(cache.layout.points)
    if points is not None:
        named = cache.select(split_list(points, "--points"), among=names)
        names = tuple(name for name in names if name in {*named, LABELS, PIXELS})
    return Part(names, _shards(shards, len(cache.layout.shards), cache.path))


def layout_of(cache: CacheLayout, part: Part) -> CacheLayout:
    """Returns the layout of a cache that has this part alone.

    It lists the shards before the first one too: a list of shards can grow at its end, and a slot means one sample.
    """
    points = {name: point for name, point in cache.points.items() if name in part.points}
    return replace(cache, points=points, shards=cache.shards[: part.shards[-1] + 1])


def commit_of(commit: Commit, points: Collection[str], cache: CacheLayout) -> Commit:
    """Returns the commit of a run that wrote some of the points alone: grids of the prompt's tokens go with these."""
    objects = {name: entry for name, entry in commit.objects.items() if name in points}
    if any(cache.points[name].level == "text" for name in objects):
        return replace(commit, objects=objects)
    return replace(commit, objects=objects, rows=tuple(map(without_text, commit.rows)))


def without_text(row: SampleRow) -> SampleRow:
    """Returns a row without the grid that only points with the prompt's own tokens have."""
    return replace(row, grids={level: grid for level, grid in row.grids.items() if level != "text"})


def _shards(text: str | None, count: int, place: str) -> tuple[int, ...]:
    """Returns the shards of a text such as `2:5`, `:5` or `2:`."""
    if text is None:
        return tuple(range(count))
    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"--shards is {text!r}, expected the first shard and the one after the last, such as 0:8")
    start, stop = int(found[1] or 0), int(found[2]) if found[2] else count
    if stop > count:
        raise UsageError(f"--shards is {text!r} and {place} has {count} shards, expected numbers up to {count}")
    if start >= stop:
        raise UsageError(f"--shards is {text!r}, which is no shard; {place} has the shards 0:{count}")
    return tuple(range(start, stop))
