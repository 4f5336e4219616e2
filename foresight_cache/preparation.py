"""`foresight prepare`: a raw dataset, checked against its manifest, into shards.

Every sample that the annotations list ends up in a shard or, with the reason, in the index's list of quarantined
samples. The index is written last and only when no more samples are bad than was allowed, so what can be opened can
be used. A preparation that is refused leaves the place as it was; one that is interrupted is gone on with by the same
command. However it came about, the same input gives the same bytes.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from foresight_cache import datasets, manifests
from foresight_cache.datasets import Broken, Found, Reader
from foresight_cache.errors import BadSample, DatasetError, UnknownName, UsageError
from foresight_cache.fingerprint import canonical_json, digest
from foresight_cache.manifests import Manifest
from foresight_cache.prefetch import prefetch
from foresight_cache.preparing import duplicates
from foresight_cache.preparing.arenas import Arena, ArenaPool
from foresight_cache.preparing.expectations import SplitCount, check_checksums, check_counts, count
from foresight_cache.preparing.packing import packed
from foresight_cache.preparing.selection import Record, Selection, is_absent
from foresight_cache.preparing.shard_folder import RAW, Done, clear, note, recalled, refuse_foreign, unfinished
from foresight_cache.progress import Advance, silent
from foresight_cache.samples import Media
from foresight_cache.shards import Packed, Quarantined, ShardSet, open_shards, write_index, write_shard
from foresight_cache.shards.index import INDEX

_AT_ONCE: dict[Media, int] = {"image": 64, "clip": 8}
"""Records that a thread reads and checks before it hands them on: fewer where each takes much memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparationSummary:
    """What is in the shards now."""

    shards: ShardSet
    splits: Mapping[str, int]
    """Samples in the shards, by split."""
    counts: tuple[SplitCount, ...]
    """What the splits have beside what their manifest expects."""
    absent: int
    """Samples that are listed and were left out of a part of the set, as their files are not there."""
    duplicates: int
    """Samples whose media equal those of another one, with which they share a group."""
    already_there: bool
    """Whether the same set had been prepared before, so that nothing was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """What is to be prepared, valid in itself."""

    manifest: Manifest
    root: Path | None
    out: Path
    split: str | None
    selection: Selection
    samples_per_shard: int
    seed: int
    max_bad: float
    deep: bool
    also: tuple[ShardSet, ...]

    def __post_init__(self) -> None:
        if self.samples_per_shard < 1:
            raise UsageError(f"--samples-per-shard is {self.samples_per_shard}, expected 1 or more")
        if not 0 <= self.max_bad <= 1:
            raise UsageError(f"--max-bad is {self.max_bad}, expected a share from 0 to 1, such as 0.01")
        name, generated = self.manifest.name, self.manifest.generator is not None
        if self.root is None and not generated:
            raise UsageError(
                f"{name!r} is read from a folder that you have: give it with --root.\n{self.manifest.obtain}"
            )
        if self.root is not None and generated and not datasets.takes_source(str(self.manifest.generator)):
            raise UsageError(f"{name!r} is generated and reads no folder; leave --root out")
        if self.split is not None and self.manifest.splits and self.split not in self.manifest.splits:
            raise UnknownName(f"split of {name!r}", self.split, self.manifest.splits)
        if self.seed and not generated:
            raise UsageError(f"--seed is {self.seed}, but {name!r} is not generated, so that a seed changes nothing")

    @property
    def folder(self) -> Path | None:
        """The raw folder; none of a generated set, whose `root` is the file that it takes its material from."""
        return None if self.manifest.generator else self.root

    @property
    def recorded(self) -> dict[str, Any]:
        """Options that decide what is packed, those that are given."""
        options = {
            "split": self.split,
            "limit": self.selection.limit,
            "root": _digest_of(self.root) if self.manifest.generator and self.root else None,
            "seed": self.seed if self.manifest.generator else None,
            "shuffle-seed": self.selection.shuffle_seed,
            "per-class": self.selection.per_class,
            "partial": self.selection.partial or None,
            "deep": self.deep or None,
            "also": [other.digest for other in self.also] or None,
        }
        return {name: value for name, value in options.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What the raw folder has to offer for a request."""

    counts: tuple[SplitCount, ...]
    records: Sequence[Record]
    """Those that are to be packed, in order."""
    absent: int
    source: str
    """SHA-256 over what the reader found of them, before anything of the media is known."""


def prepare(
    dataset: str,
    *,
    root: Path | None = None,
    out: Path,
    split: str | None = None,
    limit: int | None = None,
    per_class: int | None = None,
    shuffle_seed: int | None = None,
    partial: bool = False,
    samples_per_shard: int = 64,
    seed: int = 0,
    max_bad: float = 0.0,
    deep: bool = False,
    also: Sequence[Path] = (),
    workers: int = 2,
    advance: Advance = silent,
) -> PreparationSummary:
    """Pack a dataset into shards.

    `dataset` is the name of a manifest or the path of one, `root` the raw folder (none for a generated set, or the
    file that it takes its material from), `split` one of its splits instead of all. `limit` takes the first so many
    samples, or makes so many; `per_class` takes so many of each class; `shuffle_seed` puts the samples into a random
    order first. `partial` accepts a part of a counted set and leaves out what is listed but not there. `seed` says
    which scenes a generated set has. `max_bad` is the share of samples, 0 to 1, that may be quarantined. `deep` decodes
    all media. Samples whose media are those of a sample in the prepared sets `also` get its group. `workers` threads
    read ahead.

    The same request again finds the work done, or goes on with it. Raises `UsageError` for a wrong argument and for an
    `out` that holds anything else, `DatasetError` for a raw dataset that is not as it should be or has too many bad
    samples, and `ShardError` where another process is preparing into `out`.
    """
    request = _Request(
        manifest=manifests.load(dataset),
        root=root,
        out=out,
        split=split,
        selection=Selection(shuffle_seed=shuffle_seed, partial=partial, per_class=per_class, limit=limit),
        samples_per_shard=samples_per_shard,
        seed=seed,
        max_bad=max_bad,
        deep=deep,
        also=tuple(map(open_shards, also)),
    )
    if workers < 1:
        raise UsageError(f"--workers is {workers}, expected 1 or more")
    refuse_foreign(out)
    if (out / INDEX).exists():
        return _found_done(request)
    found = (
        _found(request, request.folder) if request.folder is not None else None
    )  # a wrong folder is told before anything is written
    with unfinished(out):
        if (out / INDEX).exists():  # another process was quicker
            return _found_done(request)
        found = found or _found(request, _generated(request))
        summary = _packed(request, found, workers, advance)
        write_index(summary.shards)
    return summary


def _packed(request: _Request, found: _Found, workers: int, advance: Advance) -> PreparationSummary:
    """All shards written, the index not yet. Raises `DatasetError` where too many samples are bad."""
    _refuse_unreadable(request, found.records)
    records, repeated = duplicates.grouped(found.records, request.also)
    identity = _identity(request, found, records)
    done = recalled(request.out, identity)
    clear(request.out, keep=len(done))
    for each in done:
        advance(len(each.shard.ids) + len(each.quarantined) if each.shard else 0, 0)
    first = done[-1].records if done else 0
    pool = ArenaPool()
    left = _batches(request, records[first:], first, pool, workers, advance)
    write = partial(_write, request.out, request.samples_per_shard, identity, pool)
    # Two, so that one shard is written while another waits for the disk.
    with closing(prefetch(enumerate(left, start=len(done)), write, threads=2)) as written:
        done += written
    shutil.rmtree(request.out / RAW, ignore_errors=True)
    shard_set = ShardSet(
        path=request.out,
        dataset=request.manifest.name,
        manifest=request.manifest.to_json(),
        manifest_digest=request.manifest.digest,
        samples_per_shard=request.samples_per_shard,
        request=request.recorded,
        source=found.source,
        shards=tuple(each.shard for each in done if each.shard),
        quarantined=tuple(bad for each in done for bad in each.quarantined),
    )
    _refuse_bad(request, shard_set.quarantined, shard_set.samples)
    return _summary(request, shard_set, found, repeated, already_there=False)


def _identity(request: _Request, found: _Found, records: Sequence[Record]) -> str:
    """What two preparations have in common whose shards are the same: the request, the annotations, the groups."""
    groups = [record.sample.group for record in records if isinstance(record, Found)]
    stable = [request.manifest.digest, request.recorded, request.samples_per_shard, found.source, digest(groups)]
    return digest(stable)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sound:
    """A sample that can be packed."""

    packed: Packed
    size: int
    """Bytes of its files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    """A few records that were read and checked, in order, and the memory that holds their files."""

    results: Sequence[_Sound | Quarantined]
    arena: Arena


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Samples of one shard, and the records between them that are none."""

    samples: Sequence[_Sound]
    quarantined: tuple[Quarantined, ...]
    records: int
    """Records that were taken so far, of all."""
    arenas: Sequence[Arena]
    """Memory that these samples hold until they are written."""


def _batches(
    request: _Request, records: Sequence[Record], taken: int, pool: ArenaPool, workers: int, advance: Advance
) -> Iterator[_Batch]:
    """Sound samples in whole shards, the last one with what is left; reads and checks run ahead in threads."""
    samples: list[_Sound] = []
    quarantined: list[Quarantined] = []
    arenas: list[Arena] = []
    at_once = _AT_ONCE[request.manifest.media]
    chunks = (records[start : start + at_once] for start in range(0, len(records), at_once))
    with closing(prefetch(chunks, partial(_checked, pool, deep=request.deep), threads=workers)) as checked:
        for chunk in checked:
            for result in chunk.results:
                taken += 1
                if isinstance(result, Quarantined):
                    quarantined.append(result)
                    advance(1, 0)
                    continue
                samples.append(result)
                advance(1, result.size)
                if len(samples) == request.samples_per_shard:
                    pool.hold(chunk.arena)
                    arenas.append(chunk.arena)
                    yield _Batch(samples=samples, quarantined=tuple(quarantined), records=taken, arenas=arenas)
                    samples, quarantined, arenas = [], [], []
            arenas.append(chunk.arena)
    if samples or quarantined:
        yield _Batch(samples=samples, quarantined=tuple(quarantined), records=taken, arenas=arenas)


def _checked(pool: ArenaPool, records: Iterable[Record], *, deep: bool) -> _Checked:
    arena = pool.take()
    return _Checked(results=[_checked_one(record, arena, deep=deep) for record in records], arena=arena)


def _checked_one(record: Record, arena: Arena, *, deep: bool) -> _Sound | Quarantined:
    if isinstance(record, Broken):
        return Quarantined(id=record.id, reason=record.reason)
    try:
        sample, members = packed(record, deep=deep, read=arena.read)
    except BadSample as error:
        return Quarantined(id=record.sample.id, reason=str(error))
    size = sum(map(len, members.values()))
    return _Sound(packed=(sample, members), size=size)


def _write(out: Path, samples_per_shard: int, identity: str, pool: ArenaPool, numbered: tuple[int, _Batch]) -> Done:
    number, batch = numbered
    if not batch.samples:  # only what is quarantined comes after the last shard
        return Done(shard=None, quarantined=batch.quarantined, records=batch.records)
    samples = [each.packed for each in batch.samples]
    shard = write_shard(out, number, number * samples_per_shard, samples)
    for arena in batch.arenas:
        pool.give_back(arena)
    done = Done(shard=shard, quarantined=batch.quarantined, records=batch.records)
    note(out, number, done, identity)
    return done


def _found(request: _Request, root: Path) -> _Found:
    """What the folder lists, counted and chosen. Raises `DatasetError`."""
    reader = _reader(request, root)
    splits = _splits(request, reader)
    if not request.selection.partial:
        check_checksums(request.manifest, root)
    listed: dict[str, list[Record]] = {split: list(_records(request, reader, split)) for split in splits}
    counts = count(request.manifest, {split: len(records) for split, records in listed.items()})
    if not request.selection.partial:
        check_counts(request.manifest, counts, request.max_bad)
    ordered = request.selection.ordered(record for records in listed.values() for record in records)
    chosen = request.selection.chosen(ordered)
    absent = sum(map(is_absent, ordered)) if request.selection.partial else 0
    # What a part lacks is left out of the choice, not of the digest: it may come and go.
    source = _digest(ordered if request.selection.partial else chosen)
    return _Found(counts=counts, records=chosen, absent=absent, source=source)


def _records(request: _Request, reader: Reader, split: str) -> Iterator[Record]:
    """All that the reader finds in a split, in groups as the manifest says. Raises `DatasetError`."""
    empty = True
    for record in reader.samples(split):
        empty = False
        if isinstance(record, Found):
            group = request.manifest.group_of(record.sample)
            record = replace(record, sample=replace(record.sample, group=group))
        yield record
    if empty:
        raise DatasetError(
            f"split {split!r} of {request.manifest.name!r} is empty: its annotations list no samples; "
            "choose another with --split or get the annotations again"
        )


def _splits(request: _Request, reader: Reader) -> tuple[str, ...]:
    """The splits to prepare; one that the manifest lists and the folder lacks is refused when it is read."""
    there = reader.splits()
    if request.split is None:
        listed = request.manifest.splits or there
        return tuple(split for split in listed if split in there) if request.selection.partial else listed
    if request.split not in there:
        listed_there = ", ".join(there)
        raise DatasetError(f"there is no split {request.split!r} in {request.root}; splits there: {listed_there}")
    return (request.split,)


def _reader(request: _Request, root: Path) -> Reader:
    return datasets.reader(request.manifest.family)(request.manifest.name, root)


def _generated(request: _Request) -> Path:
    """The raw folder of a generated set, drawn anew."""
    root = request.out / RAW
    shutil.rmtree(root, ignore_errors=True)
    samples = request.selection.limit or request.manifest.count or 1
    source = {"source": request.root} if request.root else {}
    datasets.generator(str(request.manifest.generator))(root, count=samples, seed=request.seed, **source)
    return root


def _digest_of(path: Path) -> str:
    """SHA-256 of the file that a generator takes its material from. Raises `DatasetError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; expected a file") from None


def _digest(records: Iterable[Record]) -> str:
    source = hashlib.sha256()
    for record in records:
        found = record.sample.to_json() if isinstance(record, Found) else {"id": record.id, "reason": record.reason}
        source.update(canonical_json(found) + b"\n")
    return source.hexdigest()


def _refuse_unreadable(request: _Request, records: Sequence[Record]) -> None:
    """Raises `DatasetError` in seconds where so many files are not there that the packing would end in vain."""
    hopeless = [record for record in records if isinstance(record, Broken) or is_absent(record)]
    checked = [_checked_one(record, Arena(), deep=False) for record in hopeless]
    bad = [each for each in checked if isinstance(each, Quarantined)]
    _refuse_bad(request, bad, len(records) - len(bad))


def _refuse_bad(request: _Request, quarantined: Sequence[Quarantined], good: int) -> None:
    bad = len(quarantined)
    # The small addition keeps 0.29 × 100 from being 28.999….
    allowed = int(request.max_bad * (bad + good) + 1e-9)
    if good and bad <= allowed:
        return
    first = "".join(f"\n  {each.id}: {each.reason}" for each in quarantined[:5])
    more = f"\n  … and {bad - 5} more" if bad > 5 else ""
    way = f"mend them, or leave them out with --max-bad {_share_above(bad, bad + good)}" if good else "none is left"
    raise DatasetError(
        f"{bad} of {bad + good} samples of {request.manifest.name!r} cannot be used, "
        f"--max-bad {request.max_bad:g} allows {allowed}; {way}:{first}{more}"
    )


def _share_above(bad: int, listed: int) -> str:
    """The smallest share, to two or more digits, that allows so many.

    >>> _share_above(1, 3), _share_above(1, 4), _share_above(2, 118287)
    ('0.34', '0.25', '0.000017')
    """
    digits = 2
    while True:
        share = -(-bad * 10**digits // listed)
        if share >= 10 or bad * 10**digits % listed == 0:
            return f"{share / 10**digits:.{digits}f}"
        digits += 1


def _found_done(request: _Request) -> PreparationSummary:
    """The set that is already there, if it is what was asked for. Raises `UsageError` where it is another."""
    shard_set = open_shards(request.out)
    pairs: dict[str, tuple[object, object]] = {
        "dataset": (shard_set.dataset, request.manifest.name),
        "manifest": (shard_set.manifest_digest[:12], request.manifest.digest[:12]),
        "--samples-per-shard": (shard_set.samples_per_shard, request.samples_per_shard),
    }
    for name in sorted(shard_set.request.keys() | request.recorded.keys()):
        pairs[f"--{name}"] = (shard_set.request.get(name), request.recorded.get(name))
    for name, (stored, wanted) in pairs.items():
        if stored != wanted:
            raise UsageError(
                f"{request.out} already holds shards with {name} {_said(stored)}, not {_said(wanted)}; "
                "choose another --out"
            )
    found = _found(request, request.folder) if request.folder is not None else None
    if found is not None and found.source != shard_set.source:
        raise UsageError(
            f"{request.out} already holds shards of other annotations than {request.root} has; choose another --out"
        )
    _refuse_bad(request, shard_set.quarantined, shard_set.samples)
    repeated = len(duplicates.shared(shard_set, shard_set))
    return _summary(request, shard_set, found, repeated, already_there=True)


def _said(value: object) -> str:
    return "not given" if value is None else repr(value)


def _summary(
    request: _Request, shard_set: ShardSet, found: _Found | None, repeated: int, *, already_there: bool
) -> PreparationSummary:
    prefix = len(request.manifest.name) + 1
    splits = Counter(each[prefix:].split("/")[0] for shard in shard_set.shards for each in shard.ids)
    return PreparationSummary(
        shards=shard_set,
        splits=dict(splits),
        counts=found.counts if found else (),
        absent=found.absent if found else 0,
        duplicates=repeated,
        already_there=already_there,
    )
