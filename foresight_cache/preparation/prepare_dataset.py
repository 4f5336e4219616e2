"""Prepares a raw dataset: lists, selects, checks and packs it into shards, as `foresight prepare` does.

Every sample that the annotations list ends up in a shard or, with the reason, in the index's list of quarantined
samples. The index is written last and only when no more samples are bad than was allowed, so what can be opened can
be used. A preparation that is refused leaves nothing behind; one that is interrupted is continued by the same command.
Whether or not it was interrupted, the same input gives the same bytes.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foresight_cache.datasets import BrokenSample, ListedSample, RawSample, manifests
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.errors import UsageError
from foresight_cache.preparation.arenas import Arena, ArenaPool
from foresight_cache.preparation.checking import checked_chunks, pack_or_quarantine
from foresight_cache.preparation.duplicates import SampleMedia, group_duplicates
from foresight_cache.preparation.expectations import SplitCount, check_bad_samples
from foresight_cache.preparation.filling import FilledShard, filled_shards
from foresight_cache.preparation.leftovers import check_spelling
from foresight_cache.preparation.listing import Listing, check_listing, list_samples, make_raw
from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.preparation.resuming import (
    RAW,
    FinishedShard,
    check_out_folder,
    read_notes,
    remove_shards,
    unfinished_folder,
    write_note,
)
from foresight_cache.preparation.selection import AbsentSamples, is_absent
from foresight_cache.records import digest
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.runtime.progress import Advance, Expect, silent, unheard
from foresight_cache.shards import Quarantined, ShardSet, open_shards, write_index
from foresight_cache.shards.index import INDEX

_DEFAULTS = PreparationOptions()


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparationSummary:
    """Contents of the shards, and what was left out of them."""

    shards: ShardSet
    splits: Mapping[str, int]
    """Number of samples in the shards, by split."""
    inventory: Inventory | None
    """Number of files of the raw folder by what becomes of them; None for a set that is drawn or was fetched."""
    classes: tuple[str, ...]
    """Names of the classes that were listed."""
    counts: tuple[SplitCount, ...]
    """Number of listed samples by split, beside what the manifest expects."""
    absent: AbsentSamples
    """Samples that were left out of a part of a set, as their files are not there."""
    groups: int | None
    """Number of groups that were listed, before those of equal media are joined; None where nothing was listed."""
    unmatched: int
    """Number of samples in whose names the manifest's pattern of groups is not found."""
    remarks: tuple[str, ...]
    """Sentences on annotations that contradict each other, or of which most tasks use none."""
    duplicates: int | None
    """Number of samples that share media and group with another one; None where nothing was packed."""
    already_there: bool
    """True where the same set had been prepared before, so that nothing was done."""


def prepare(
    dataset: str,
    out: Path,
    options: PreparationOptions = _DEFAULTS,
    advance: Advance = silent,
    expect: Expect = unheard,
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
    check_out_folder(out)
    if (out / INDEX).exists():
        return _existing_summary(request)
    # An error of the folder comes before anything is written.
    listing = _checked_listing(request, request.folder) if request.folder is not None else None
    with unfinished_folder(out):
        if (out / INDEX).exists():  # another process was quicker
            return _existing_summary(request)
        listing = listing or _checked_listing(request, make_raw(request))
        summary = _pack(request, listing, advance, expect)
        write_index(summary.shards)
    return summary


def _checked_listing(request: PreparationRequest, root: Path) -> Listing:
    """Returns what a raw folder lists. Raises `DatasetError` where it is not to be packed."""
    listing = list_samples(request, root)
    check_listing(request, listing)
    return listing


def _pack(request: PreparationRequest, listing: Listing, advance: Advance, expect: Expect) -> PreparationSummary:
    """Writes all shards, but not the index. Raises `DatasetError` where too many samples are bad."""
    _check_absent_samples(request, listing)
    media = list(map(SampleMedia.of, listing.samples))
    samples, repeated = group_duplicates(listing.samples, media, request.also)
    finished = read_notes(request.out, identity := _identity(request, listing, samples))
    expect(len(samples) - _listed(finished))
    sizes = [each.size or 0 for each in media]
    finished += _pack_shards(request, samples, sizes, identity, finished, advance)
    shutil.rmtree(request.out / RAW, ignore_errors=True)
    shard_set = ShardSet(
        path=request.out,
        dataset=request.manifest.name,
        manifest=request.manifest.to_json(),
        manifest_digest=request.manifest.digest,
        samples_per_shard=request.options.samples_per_shard,
        request=request.packing_options,
        source=listing.source,
        shards=tuple(note.shard for note in finished if note.shard),
        quarantined=tuple(sample for note in finished for sample in note.quarantined),
    )
    check_bad_samples(request, shard_set.quarantined, shard_set.samples)
    return _summary(request, shard_set, listing, repeated, already_there=False)


def _pack_shards(
    request: PreparationRequest,
    samples: Sequence[ListedSample],
    sizes: Sequence[int],
    identity: str,
    finished: Sequence[FinishedShard],
    advance: Advance,
) -> list[FinishedShard]:
    """Writes the shards that are not finished yet, and returns these."""
    remove_shards(request.out, keep=len(finished))
    first, pool = _listed(finished), ArenaPool()
    with (
        closing(checked_chunks(request, samples[first:], sizes[first:], pool)) as checked,
        closing(filled_shards(request, checked, len(finished), first, pool, advance)) as filled,
        # Two, so that one shard waits for the disk while another is filled.
        closing(prefetch(enumerate(filled, len(finished)), partial(_finish, request.out, identity), threads=2)) as done,
    ):
        return list(done)


def _listed(finished: Sequence[FinishedShard]) -> int:
    """Returns the number of listed samples that finished shards are of."""
    return finished[-1].listed if finished else 0


def _identity(request: PreparationRequest, listing: Listing, samples: Sequence[ListedSample]) -> str:
    """Returns a digest that two preparations share only if they write the same shards."""
    groups = [listed.sample.group for listed in samples if isinstance(listed, RawSample)]
    return digest(
        [
            request.manifest.digest,
            request.packing_options,
            request.options.samples_per_shard,
            listing.source,
            digest(groups),
        ]
    )


def _finish(out: Path, identity: str, numbered: tuple[int, FilledShard]) -> FinishedShard:
    number, filled = numbered
    finished = filled.finish()
    if finished.shard is not None:
        write_note(out, number, finished, identity)
    return finished


def _check_absent_samples(request: PreparationRequest, listing: Listing) -> None:
    """Raises `DatasetError` in seconds where so many files are not there that packing would end in vain."""
    samples = listing.samples
    hopeless = [listed for listed in samples if isinstance(listed, BrokenSample) or is_absent(listed)]
    if len(hopeless) == len(samples):
        check_spelling(request.manifest, AbsentSamples.of(hopeless), listing.inventory)
    results = [pack_or_quarantine(listed, Arena(), deep=False) for listed in hopeless]
    bad = [result for result in results if isinstance(result, Quarantined)]
    check_bad_samples(request, bad, len(samples) - len(bad), sum(map(is_absent, hopeless)))


def _existing_summary(request: PreparationRequest) -> PreparationSummary:
    """Returns the summary of the set that is already there. Raises `UsageError` where it is not the requested one."""
    shard_set = open_shards(request.out)
    _check_same_request(request, shard_set)
    listing = list_samples(request, request.folder) if request.folder is not None else None
    if listing is not None and listing.source != shard_set.source:
        raise UsageError(
            f"{request.out} already holds shards of other annotations than {request.options.root} has; "
            "choose another --out"
        )
    check_bad_samples(request, shard_set.quarantined, shard_set.samples)
    return _summary(request, shard_set, listing, None, already_there=True)


def _check_same_request(request: PreparationRequest, shard_set: ShardSet) -> None:
    """Raises `UsageError` where shards were prepared from another manifest or with other options."""
    stored_options, options = shard_set.request, request.packing_options
    pairs: dict[str, tuple[object, object]] = {
        "dataset": (shard_set.dataset, request.manifest.name),
        "manifest": (shard_set.manifest_digest[:12], request.manifest.digest[:12]),
        "--samples-per-shard": (shard_set.samples_per_shard, request.options.samples_per_shard),
    }
    for name in sorted(stored_options.keys() | options.keys()):
        pairs[f"--{name}"] = (stored_options.get(name), options.get(name))
    for name, (stored, requested) in pairs.items():
        if stored != requested:
            was = "not given" if stored is None else repr(stored)
            but = "but now it is not given" if requested is None else f"not {requested!r}"
            raise UsageError(f"{request.out} already holds shards with {name} {was}, {but}; choose another --out")


def _summary(
    request: PreparationRequest,
    shard_set: ShardSet,
    listing: Listing | None,
    repeated: int | None,
    *,
    already_there: bool,
) -> PreparationSummary:
    prefix = len(request.manifest.name) + 1
    splits = Counter(sample_id[prefix:].split("/")[0] for shard in shard_set.shards for sample_id in shard.ids)
    return PreparationSummary(
        shards=shard_set,
        splits=dict(splits),
        inventory=listing.inventory if listing and not request.manifest.generator else None,
        classes=listing.classes if listing else (),
        counts=listing.counts if listing else (),
        absent=listing.absent if listing else AbsentSamples(),
        groups=listing.groups if listing else None,
        unmatched=listing.unmatched if listing else 0,
        remarks=listing.remarks if listing else (),
        duplicates=repeated,
        already_there=already_there,
    )
