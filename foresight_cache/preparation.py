"""`foresight prepare`: a raw dataset, checked against its manifest, into shards.

Every sample that the annotations list ends up in a shard or, with the reason, in the index's list of quarantined
samples. The index is written last and only when no more samples are bad than was allowed, so what can be opened can
be used. A preparation that fails leaves the place as it was; one that is killed is done again by the same command.
"""

import fcntl
import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from foresight_cache import datasets, manifests
from foresight_cache.datasets import Broken, Found, Reader
from foresight_cache.errors import BadSample, DatasetError, ShardError, UnknownName, UsageError
from foresight_cache.fingerprint import canonical_json
from foresight_cache.manifests import Manifest
from foresight_cache.packing import packed
from foresight_cache.progress import Advance, silent
from foresight_cache.shards import (
    INDEX,
    PARTIAL,
    UNFINISHED,
    Packed,
    Quarantined,
    ShardInfo,
    ShardSet,
    open_shards,
    write_index,
    write_shard,
)

_RAW = "raw"
"""Folder inside the unfinished shards where a synthetic set is drawn, to be gone with them."""
_OURS = re.compile(rf"shard-\d{{6}}\.tar({re.escape(PARTIAL)})?|{re.escape(INDEX + PARTIAL)}")
"""What a preparation writes beside the index; all that a new start may remove."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparationSummary:
    """What is in the shards now."""

    shards: ShardSet
    splits: Mapping[str, int]
    """Samples in the shards, by split."""
    already_there: bool
    """Whether the same set had been prepared before, so that nothing was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """What is to be prepared, valid in itself."""

    manifest: Manifest
    root: Path | None
    out: Path
    split: str | None
    limit: int | None
    samples_per_shard: int
    seed: int
    max_bad: float

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit is {self.limit}, expected 1 or more")
        if self.samples_per_shard < 1:
            raise UsageError(f"--samples-per-shard is {self.samples_per_shard}, expected 1 or more")
        if not 0 <= self.max_bad <= 1:
            raise UsageError(f"--max-bad is {self.max_bad}, expected a share from 0 to 1, such as 0.01")
        name, generated = self.manifest.name, self.manifest.generator is not None
        if self.root is None and not generated:
            raise UsageError(
                f"{name!r} is read from a folder that you have: give it with --root.\n{self.manifest.obtain}"
            )
        if self.root is not None and generated:
            raise UsageError(f"{name!r} is generated and reads no folder; leave --root out")
        if self.split is not None and self.manifest.splits and self.split not in self.manifest.splits:
            raise UnknownName(f"split of {name!r}", self.split, self.manifest.splits)
        if self.seed and not generated:
            raise UsageError(f"--seed is {self.seed}, but {name!r} is not generated, so that a seed changes nothing")

    @property
    def recorded(self) -> dict[str, Any]:
        """Options that decide what is packed, those that are given."""
        seed = self.seed if self.manifest.generator else None
        options = {"split": self.split, "limit": self.limit, "seed": seed}
        return {name: value for name, value in options.items() if value is not None}


def prepare(
    dataset: str,
    *,
    root: Path | None = None,
    out: Path,
    split: str | None = None,
    limit: int | None = None,
    samples_per_shard: int = 64,
    seed: int = 0,
    max_bad: float = 0.0,
    advance: Advance = silent,
) -> PreparationSummary:
    """Pack a dataset into shards.

    `dataset` is the name of a manifest or the path of one, `root` the raw folder (none for a generated set), `split`
    one of its splits instead of all. `limit` takes the first so many samples; of a generated set, so many are made.
    `seed` says which scenes a generated set has. `max_bad` is the share of samples, 0 to 1, that may be quarantined.

    The same request again finds the work done. Raises `UsageError` for a wrong argument and for an `out` that holds
    anything else, `DatasetError` for a raw dataset that is not as it should be or has too many bad samples, and
    `ShardError` where another process is preparing into `out`.
    """
    request = _Request(
        manifest=manifests.load(dataset),
        root=root,
        out=out,
        split=split,
        limit=limit,
        samples_per_shard=samples_per_shard,
        seed=seed,
        max_bad=max_bad,
    )
    _refuse_foreign(out)
    if (out / INDEX).exists():
        return _found_done(request)
    if root is not None:
        _splits(request, _reader(request, root))  # a wrong folder is told before anything is written
    with _unfinished(out):
        if (out / INDEX).exists():  # another process was quicker
            return _found_done(request)
        shard_set = _packed(request, advance)
        write_index(shard_set)
    return _summary(request, shard_set, already_there=False)


def _packed(request: _Request, advance: Advance) -> ShardSet:
    """All shards written, the index not yet. Raises `DatasetError` where too many samples are bad."""
    packer = _Packer(request.out, request.samples_per_shard)
    source = hashlib.sha256()
    for record in _records(request, _raw_root(request)):
        source.update(_record_bytes(record))
        advance(1, packer.add(record))
    packer.close()
    shutil.rmtree(request.out / _RAW, ignore_errors=True)
    shard_set = ShardSet(
        path=request.out,
        dataset=request.manifest.name,
        manifest=request.manifest.to_json(),
        manifest_digest=request.manifest.digest,
        samples_per_shard=request.samples_per_shard,
        request=request.recorded,
        source=source.hexdigest(),
        shards=tuple(packer.shards),
        quarantined=tuple(packer.quarantined),
    )
    _refuse_bad(request, shard_set)
    return shard_set


class _Packer:
    """Collects sound samples into shards and the others into a list."""

    def __init__(self, out: Path, samples_per_shard: int) -> None:
        self._out = out
        self._samples_per_shard = samples_per_shard
        self._waiting: list[Packed] = []
        self.shards: list[ShardInfo] = []
        self.quarantined: list[Quarantined] = []

    def add(self, record: Found | Broken) -> int:
        """Returns the number of bytes that were packed."""
        if isinstance(record, Broken):
            self.quarantined.append(Quarantined(id=record.id, reason=record.reason))
            return 0
        try:
            sample, members = packed(record)
        except BadSample as error:
            self.quarantined.append(Quarantined(id=record.sample.id, reason=str(error)))
            return 0
        self._waiting.append((sample, members))
        if len(self._waiting) == self._samples_per_shard:
            self.close()
        return sum(map(len, members.values()))

    def close(self) -> None:
        """Write what waits, if anything."""
        if self._waiting:
            number = len(self.shards)
            first_slot = number * self._samples_per_shard
            self.shards.append(write_shard(self._out, number, first_slot, self._waiting))
            self._waiting = []


def _records(request: _Request, root: Path) -> Iterator[Found | Broken]:
    """What the reader finds, up to the limit, in groups as the manifest says. Raises `DatasetError`."""
    reader = _reader(request, root)
    yield from islice(_all_records(request, reader), request.limit)


def _all_records(request: _Request, reader: Reader) -> Iterator[Found | Broken]:
    for split in _splits(request, reader):
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
        return request.manifest.splits or there
    if request.split not in there:
        listed = ", ".join(there)
        raise DatasetError(f"there is no split {request.split!r} in {request.root}; splits there: {listed}")
    return (request.split,)


def _reader(request: _Request, root: Path) -> Reader:
    return datasets.reader(request.manifest.family)(request.manifest.name, root)


def _raw_root(request: _Request) -> Path:
    """The raw folder, generated where the set is a generated one."""
    manifest = request.manifest
    if request.root is not None:
        return request.root
    root = request.out / _RAW
    count = request.limit or manifest.count or 1
    datasets.generator(str(manifest.generator))(root, count=count, seed=request.seed)
    return root


def _record_bytes(record: Found | Broken) -> bytes:
    found = record.sample.to_json() if isinstance(record, Found) else {"id": record.id, "reason": record.reason}
    return canonical_json(found) + b"\n"


def _refuse_bad(request: _Request, shard_set: ShardSet) -> None:
    bad, good = len(shard_set.quarantined), shard_set.samples
    # The small addition keeps 0.29 × 100 from being 28.999….
    allowed = int(request.max_bad * (bad + good) + 1e-9)
    if good and bad <= allowed:
        return
    first = "".join(f"\n  {each.id}: {each.reason}" for each in shard_set.quarantined[:5])
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


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder; choose a new folder for --out")
    if not out.is_dir() or (out / INDEX).exists() or (out / UNFINISHED).exists():
        return
    names = sorted(path.name for path in islice(out.iterdir(), 20))
    if names:
        listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise UsageError(f"{out} already holds something else ({listed}); choose a new or empty folder for --out")


@contextmanager
def _unfinished(out: Path) -> Iterator[None]:
    """The folder, marked as unfinished and locked, cleared of what a killed preparation left.

    When the block fails, all that it wrote goes, and the folder too if it was made here.
    """
    existed = out.is_dir()
    out.mkdir(parents=True, exist_ok=True)
    marker = out / UNFINISHED
    with marker.open("ab") as file:
        _lock(file.fileno(), out)
        try:
            _clear(out)
            yield
        except BaseException:
            _clear(out)
            marker.unlink(missing_ok=True)
            if not existed:
                with suppress(OSError):  # somebody else put something there
                    out.rmdir()
            raise
        marker.unlink(missing_ok=True)


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ShardError(f"another process is preparing into {out}; wait for it or choose another --out") from None
    except OSError:
        pass  # some network file systems have no locks; two writers then write the same bytes


def _clear(out: Path) -> None:
    if (out / INDEX).exists():
        return
    shutil.rmtree(out / _RAW, ignore_errors=True)
    for path in out.iterdir():
        if _OURS.fullmatch(path.name):
            path.unlink()


def _found_done(request: _Request) -> PreparationSummary:
    """The set that is already there, if it is what was asked for. Raises `UsageError` where it is another."""
    shard_set = open_shards(request.out)
    pairs = {
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
    if request.root is not None and _source_digest(request, request.root) != shard_set.source:
        raise UsageError(
            f"{request.out} already holds shards of other annotations than {request.root} has; choose another --out"
        )
    _refuse_bad(request, shard_set)
    return _summary(request, shard_set, already_there=True)


def _source_digest(request: _Request, root: Path) -> str:
    source = hashlib.sha256()
    for record in _records(request, root):
        source.update(_record_bytes(record))
    return source.hexdigest()


def _said(value: object) -> str:
    return "not given" if value is None else repr(value)


def _summary(request: _Request, shard_set: ShardSet, *, already_there: bool) -> PreparationSummary:
    prefix = len(request.manifest.name) + 1
    splits = Counter(each[prefix:].split("/")[0] for shard in shard_set.shards for each in shard.ids)
    return PreparationSummary(shards=shard_set, splits=dict(splits), already_there=already_there)
