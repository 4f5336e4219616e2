"""What one more writer adds to a cache: layout and commits lose nothing, and what contradicts them is refused."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from foresight_cache.errors import CacheError, FingerprintMismatch, NotACache
from foresight_cache.fingerprint import differences, refusal
from foresight_cache.format import layout
from foresight_cache.format.commits import Commit, SampleRow
from foresight_cache.format.layout import CacheLayout
from foresight_cache.format.metadata import metadata, read_root
from foresight_cache.format.stores import WritableStore
from foresight_cache.points import computation_order


def merged_layout(store: WritableStore, wanted: CacheLayout) -> CacheLayout:
    """Returns the layout of the cache in a store once `wanted` has joined it: all points and shards of both.

    Changes nothing. Raises `FingerprintMismatch`, and `NotACache` where the store holds something else.
    """
    root = bytes_at(store, layout.ROOT_KEY)
    if root is None and _is_free(store):
        return wanted
    if root is None and (root := bytes_at(store, layout.ROOT_KEY)) is None:  # it may have come while we looked
        raise NotACache(f"{store.place} holds files that are not a cache; name a new or empty directory")
    stored = read_root(root, store.place)
    if phrases := layout_differences(stored, _with_codecs_of(stored, wanted)):
        remedy = "use the settings of the cache, or another --out"
        raise FingerprintMismatch(refusal(phrases, f"{store.place} was made with another", remedy))
    _check_codecs(store.place, stored, wanted)
    points = {**stored.points, **wanted.points}
    return replace(
        stored,
        shards=max(stored.shards, wanted.shards, key=len),
        points={name: points[name] for name in sorted(points, key=computation_order)},
    )


def layout_differences(stored: CacheLayout, wanted: CacheLayout) -> list[str]:
    """Returns one phrase for each thing in which two layouts contradict each other, so that neither joins the other."""
    return [phrase for old, new in _compared(stored, wanted) for phrase in differences(old, new)]


def is_joined(store: WritableStore, merged: CacheLayout) -> bool:
    """Tells whether all metadata of a cache is there already."""
    return all(bytes_at(store, key) == data for key, data in metadata(merged).items())


def join(store: WritableStore, wanted: CacheLayout, merged: CacheLayout) -> CacheLayout:
    """Creates the metadata of a cache, or makes it grow, and returns its layout.

    `merged` is what `merged_layout` gives. The root comes first. Others may do the same: whoever finds that metadata
    has changed begins anew. Raises what `merged_layout` raises.
    """
    while not all(_written(store, key, data, merged) for key, data in metadata(merged).items()):
        merged = merged_layout(store, wanted)
    return merged


def united(theirs: Commit, mine: Commit, place: str) -> Commit:
    """Returns the commit at `place` with what this one adds, whichever of the two comes first.

    Of an object that both have, theirs stays. Raises `CacheError` where they are not of the same samples.
    """
    objects = {**mine.objects, **theirs.objects}
    rows = tuple(_united_row(their, my, place) for their, my in zip(theirs.rows, mine.rows, strict=True))
    return replace(theirs, objects=objects, rows=rows)


def bytes_at(store: WritableStore, key: str) -> bytes | None:
    """Returns all bytes of an object, or None where there is none."""
    try:
        return store.read(key)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _written(store: WritableStore, key: str, data: bytes, merged: CacheLayout) -> bool:
    """Writes one object of metadata; False where it, or the root, is no longer what `merged` was made of."""
    there = bytes_at(store, key)
    if there is None:
        return store.create(key, data)
    if there == data:
        return True
    # After `there`: whoever makes the cache grow writes the root first, so that no newer array is replaced by an older.
    if key != layout.ROOT_KEY and bytes_at(store, layout.ROOT_KEY) != metadata(merged)[layout.ROOT_KEY]:
        return False
    if key == layout.ROOT_KEY and not _grows(read_root(there, store.place), merged):
        return False
    return store.swap(key, there, data)


def _grows(stored: CacheLayout, merged: CacheLayout) -> bool:
    """Tells whether a layout has all that another has."""
    return stored.points.keys() <= merged.points.keys() and len(stored.shards) <= len(merged.shards)


def _united_row(theirs: SampleRow, mine: SampleRow, place: str) -> SampleRow:
    """Returns their row with the grids that only mine has, as of a prompt's tokens."""
    if theirs.status == mine.status == "bad" and theirs.sample.id == mine.sample.id:
        return theirs
    shared = theirs.grids.keys() & mine.grids.keys()
    same = theirs.sample.id == mine.sample.id and theirs.status == mine.status
    if not same or any(theirs.grids[level] != mine.grids[level] for level in shared):
        raise CacheError(
            f"{place} has sample {theirs.sample.id} as {_shown(theirs)}, and here {mine.sample.id} is {_shown(mine)}; "
            "the sample was decoded otherwise; extract into a new directory"
        )
    return replace(theirs, grids={**theirs.grids, **mine.grids})


def _shown(row: SampleRow) -> str:
    return f"bad ({row.reason})" if row.status == "bad" else f"good on {dict(row.grids)}"


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


def _with_codecs_of(stored: CacheLayout, wanted: CacheLayout) -> CacheLayout:
    """Returns the layout that is wanted with the codecs of the points that are there."""
    codecs = {name: point.codec for name, point in stored.points.items()}
    points = {name: replace(point, codec=codecs.get(name, point.codec)) for name, point in wanted.points.items()}
    return replace(wanted, points=points)


def _check_codecs(place: str, stored: CacheLayout, wanted: CacheLayout) -> None:
    """Raises `FingerprintMismatch` where a point that is there was asked for with another codec."""
    for name, point in wanted.points.items():
        if name in stored.points and (there := stored.points[name].codec) != point.codec:
            anew = f"foresight recode {place} --codec {point.codec} --out DIR"
            raise FingerprintMismatch(
                f"{name} of {place} has the codec {there}, and {point.codec} was asked for; what is there keeps its "
                f"codec without --codec, or is written anew by: {anew}"
            )


def _described(cache: CacheLayout, count: int | None) -> dict[str, Any]:
    """Returns the first shards by name, each with its number: where two are exchanged a slot means another sample."""
    shards = {
        shard.name: {"number": number, "sha256": shard.sha256, "samples": shard.samples}
        for number, shard in enumerate(cache.shards[:count])
    }
    return {"shards": shards, "samples_per_shard": cache.samples_per_shard}


def _is_free(store: WritableStore) -> bool:
    """Tells whether a place is empty, or another process has just begun to start a cache there."""
    keys = store.children("")
    if layout.SAMPLES in keys:
        keys |= {f"{layout.SAMPLES}/{name}" for name in store.children(layout.SAMPLES)}
    return not keys - {layout.SAMPLES, layout.PARTIAL, layout.metadata_key(layout.SAMPLES)}
