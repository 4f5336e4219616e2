"""`foresight prepare`: a raw dataset, checked against its manifest, into shards.

Every sample that the annotations list ends up in a shard or, with the reason, in the index's list of quarantined
samples. The index is written last and only when no more samples are bad than was allowed, so what can be opened can
be used. A preparation that is refused leaves nothing in its place; one that is interrupted is gone on with by the same
command. However it came about, the same input gives the same bytes.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foresight_cache.datasets import BrokenSample, RawSample, manifests
from foresight_cache.errors import UsageError
from foresight_cache.preparation import duplicates
from foresight_cache.preparation.arenas import Arena, ArenaPool
from foresight_cache.preparation.checking import CheckedShard, check_sample, checked_shards
from foresight_cache.preparation.expectations import SplitCount
from foresight_cache.preparation.listing import Listing, generated, listing
from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.request import PreparationRequest, refuse_bad
from foresight_cache.preparation.resuming import RAW, Done, clear, note, recalled, refuse_foreign, unfinished
from foresight_cache.preparation.selection import Record, is_absent
from foresight_cache.records import digest
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.shards import Quarantined, ShardSet, open_shards, write_index, write_shard
from foresight_cache.shards.index import INDEX

_DEFAULTS = PreparationOptions()


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
    duplicates: int | None
    """Samples whose media equal those of another one, with which they share a group; None where nothing was packed."""
    already_there: bool
    """Whether the same set had been prepared before, so that nothing was done."""


def prepare(
    dataset: str, out: Path, options: PreparationOptions = _DEFAULTS, advance: Advance = silent
) -> PreparationSummary:
    """Packs a dataset into shards in the folder `out`.

    `dataset` is the name of a manifest or the path of one. The same request again finds the work done, or goes on with
    it. Raises `UsageError` for a wrong argument and for an `out` that holds anything else, `DatasetError` for a raw
    dataset that is not as it should be or has too many bad samples, and `ShardError` where another process is preparing
    into `out`.
    """
    request = PreparationRequest(
        manifest=manifests.load(dataset), out=out, options=options, also=tuple(map(open_shards, options.also))
    )
    refuse_foreign(out)
    if (out / INDEX).exists():
        return _found_done(request)
    # A wrong folder is told before anything is written.
    found = listing(request, request.folder) if request.folder is not None else None
    with unfinished(out):
        if (out / INDEX).exists():  # another process was quicker
            return _found_done(request)
        found = found or listing(request, generated(request))
        summary = _packed(request, found, advance)
        write_index(summary.shards)
    return summary


def _packed(request: PreparationRequest, found: Listing, advance: Advance) -> PreparationSummary:
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
    left = checked_shards(request, records[first:], first, pool, request.options.workers, advance)
    write = partial(_write, request.out, request.options.samples_per_shard, identity, pool)
    # Two, so that one shard is written while another waits for the disk.
    with closing(prefetch(enumerate(left, start=len(done)), write, threads=2)) as written:
        done += written
    shutil.rmtree(request.out / RAW, ignore_errors=True)
    shard_set = ShardSet(
        path=request.out,
        dataset=request.manifest.name,
        manifest=request.manifest.to_json(),
        manifest_digest=request.manifest.digest,
        samples_per_shard=request.options.samples_per_shard,
        request=request.recorded,
        source=found.source,
        shards=tuple(each.shard for each in done if each.shard),
        quarantined=tuple(bad for each in done for bad in each.quarantined),
    )
    refuse_bad(request, shard_set.quarantined, shard_set.samples)
    return _summary(request, shard_set, found, repeated, already_there=False)


def _identity(request: PreparationRequest, found: Listing, records: Sequence[Record]) -> str:
    """What two preparations have in common whose shards are the same: the request, the annotations, the groups."""
    groups = [record.sample.group for record in records if isinstance(record, RawSample)]
    stable = [
        request.manifest.digest,
        request.recorded,
        request.options.samples_per_shard,
        found.source,
        digest(groups),
    ]
    return digest(stable)


def _write(
    out: Path, samples_per_shard: int, identity: str, pool: ArenaPool, numbered: tuple[int, CheckedShard]
) -> Done:
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


def _refuse_unreadable(request: PreparationRequest, records: Sequence[Record]) -> None:
    """Raises `DatasetError` in seconds where so many files are not there that the packing would end in vain."""
    hopeless = [record for record in records if isinstance(record, BrokenSample) or is_absent(record)]
    results = [check_sample(record, Arena(), deep=False) for record in hopeless]
    bad = [each for each in results if isinstance(each, Quarantined)]
    refuse_bad(request, bad, len(records) - len(bad))


def _found_done(request: PreparationRequest) -> PreparationSummary:
    """The set that is already there, if it is what was asked for. Raises `UsageError` where it is another."""
    shard_set = open_shards(request.out)
    pairs: dict[str, tuple[object, object]] = {
        "dataset": (shard_set.dataset, request.manifest.name),
        "manifest": (shard_set.manifest_digest[:12], request.manifest.digest[:12]),
        "--samples-per-shard": (shard_set.samples_per_shard, request.options.samples_per_shard),
    }
    for name in sorted(shard_set.request.keys() | request.recorded.keys()):
        pairs[f"--{name}"] = (shard_set.request.get(name), request.recorded.get(name))
    for name, (stored, wanted) in pairs.items():
        if stored != wanted:
            was = "not given" if stored is None else repr(stored)
            but = "but now it is not given" if wanted is None else f"not {wanted!r}"
            raise UsageError(f"{request.out} already holds shards with {name} {was}, {but}; choose another --out")
    found = listing(request, request.folder) if request.folder is not None else None
    if found is not None and found.source != shard_set.source:
        raise UsageError(
            f"{request.out} already holds shards of other annotations than {request.options.root} has; "
            "choose another --out"
        )
    refuse_bad(request, shard_set.quarantined, shard_set.samples)
    return _summary(request, shard_set, found, None, already_there=True)


def _summary(
    request: PreparationRequest,
    shard_set: ShardSet,
    found: Listing | None,
    repeated: int | None,
    *,
    already_there: bool,
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
