"""What a raw folder has to offer for a preparation."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foresight_cache import datasets
from foresight_cache.datasets import RawSample, Reader
from foresight_cache.errors import DatasetError
from foresight_cache.preparation.expectations import SplitCount, check_checksums, check_counts, count
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.preparation.resuming import RAW
from foresight_cache.preparation.selection import Record, is_absent
from foresight_cache.records import canonical_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What the raw folder has to offer for a request."""

    counts: tuple[SplitCount, ...]
    records: Sequence[Record]
    """Those that are to be packed, in order."""
    absent: int
    source: str
    """SHA-256 over what the reader found of them, before anything of the media is known."""


def listing(request: PreparationRequest, root: Path) -> Listing:
    """What the folder lists, counted and chosen. Raises `DatasetError`."""
    reader = _reader(request, root)
    splits = _splits(request, reader)
    if not request.options.selection.partial:
        check_checksums(request.manifest, root)
    listed: dict[str, list[Record]] = {split: list(_records(request, reader, split)) for split in splits}
    counts = count(request.manifest, {split: len(records) for split, records in listed.items()})
    if not request.options.selection.partial:
        check_counts(request.manifest, counts, request.options.max_bad)
    ordered = request.options.selection.ordered(record for records in listed.values() for record in records)
    chosen = request.options.selection.chosen(ordered)
    absent = sum(map(is_absent, ordered)) if request.options.selection.partial else 0
    # What a part lacks is left out of the choice, not of the digest: it may come and go.
    source = _digest(ordered if request.options.selection.partial else chosen)
    return Listing(counts=counts, records=chosen, absent=absent, source=source)


def _records(request: PreparationRequest, reader: Reader, split: str) -> Iterator[Record]:
    """All that the reader finds in a split, in groups as the manifest says. Raises `DatasetError`."""
    empty = True
    for record in reader.samples(split):
        empty = False
        if isinstance(record, RawSample):
            group = request.manifest.group_of(record.sample)
            record = replace(record, sample=replace(record.sample, group=group))
        yield record
    if empty:
        raise DatasetError(
            f"split {split!r} of {request.manifest.name!r} is empty: its annotations list no samples; "
            "choose another with --split or get the annotations again"
        )


def _splits(request: PreparationRequest, reader: Reader) -> tuple[str, ...]:
    """The splits to prepare; one that the manifest lists and the folder lacks is refused when it is read."""
    there = reader.splits()
    if request.options.split is None:
        listed = request.manifest.splits or there
        return tuple(split for split in listed if split in there) if request.options.selection.partial else listed
    if request.options.split not in there:
        listed_there = ", ".join(there)
        raise DatasetError(
            f"there is no split {request.options.split!r} in {request.options.root}; splits there: {listed_there}"
        )
    return (request.options.split,)


def _reader(request: PreparationRequest, root: Path) -> Reader:
    return datasets.reader(request.manifest.family)(request.manifest.name, root)


def generated(request: PreparationRequest) -> Path:
    """The raw folder of a generated set, drawn anew."""
    root = request.out / RAW
    shutil.rmtree(root, ignore_errors=True)
    samples = request.options.selection.limit or request.manifest.count or 1
    source = {"source": request.options.root} if request.options.root else {}
    datasets.generator(str(request.manifest.generator)).generate(
        root, count=samples, seed=request.options.seed, **source
    )
    return root


def _digest(records: Iterable[Record]) -> str:
    source = hashlib.sha256()
    for record in records:
        found = record.sample.to_json() if isinstance(record, RawSample) else {"id": record.id, "reason": record.reason}
        source.update(canonical_json(found) + b"\n")
    return source.hexdigest()
