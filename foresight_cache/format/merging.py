"""The layout of a cache that one more extraction joins: it loses nothing, and what contradicts it is refused."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from foresight_cache.errors import FingerprintMismatch, NotACache
from foresight_cache.fingerprint import differences, refusal
from foresight_cache.format import layout
from foresight_cache.format.layout import CacheLayout
from foresight_cache.format.metadata import read_root
from foresight_cache.points import computation_order


def merged_layout(root: Path, wanted: CacheLayout) -> CacheLayout:
    """Returns the layout of the cache at `root` once `wanted` has joined it: all points and shards of both.

    Changes nothing. Raises `FingerprintMismatch`, and `NotACache` where `root` holds something else.
    """
    path = root / layout.ROOT_KEY
    if not path.exists():
        _refuse_foreign(root)
        return wanted
    stored = read_root(path.read_bytes(), str(root))
    if phrases := [phrase for old, new in _compared(stored, wanted) for phrase in differences(old, new)]:
        remedy = "use the settings of the cache, or another --out"
        raise FingerprintMismatch(refusal(phrases, f"{root} was made with another", remedy))
    points = {**stored.points, **wanted.points}
    return replace(
        stored,
        shards=max(stored.shards, wanted.shards, key=len),
        points={name: points[name] for name in sorted(points, key=computation_order)},
    )


def _compared(stored: CacheLayout, wanted: CacheLayout) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yields fingerprint, shards and common points of both. One list of shards may go on where a full one ends."""
    yield stored.fingerprint, wanted.fingerprint
    common = min(len(stored.shards), len(wanted.shards))
    alike = _described(stored, common) == _described(wanted, common)
    full = all(shard.samples == stored.samples_per_shard for shard in stored.shards[:common])
    count = None if alike and not full else common
    yield _described(stored, count), _described(wanted, count)
    for name in sorted(stored.points.keys() & wanted.points.keys()):
        yield {name: asdict(stored.points[name])}, {name: asdict(wanted.points[name])}


def _described(cache: CacheLayout, count: int | None) -> dict[str, Any]:
    """Returns the first shards by name, each with its number: where two are exchanged a slot means another sample."""
    shards = {
        shard.name: {"number": number, "sha256": shard.sha256, "samples": shard.samples}
        for number, shard in enumerate(cache.shards[:count])
    }
    return {"shards": shards, "samples_per_shard": cache.samples_per_shard}


def _refuse_foreign(root: Path) -> None:
    """Raises `NotACache` unless the directory is empty, or another process has just begun to start a cache there."""
    if root.exists() and not root.is_dir():
        raise NotACache(f"{root} is a file; name a new directory or an existing cache with --out")
    folders = (root, root / layout.SAMPLES)
    keys = {path.relative_to(root).as_posix() for folder in folders if folder.is_dir() for path in folder.iterdir()}
    if keys - {layout.SAMPLES, layout.PARTIAL, f"{layout.SAMPLES}/{layout.ROOT_KEY}"}:
        raise NotACache(f"{root} holds files that are not a cache; name a new or empty directory with --out")
