"""Lists the samples of a raw folder, counted and selected, and makes such a folder where it is drawn or fetched."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from foresight_cache import datasets
from foresight_cache.datasets import BoxReader, ListedSample, RawSample, Reader, RemarkingReader
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.errors import DatasetError
from foresight_cache.preparation.expectations import SplitCount, check_checksums, check_counts, count_splits
from foresight_cache.preparation.leftovers import check_inventory, check_not_empty, refuse_absent_set
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.preparation.resuming import RAW
from foresight_cache.preparation.selection import AbsentSamples
from foresight_cache.preparation.tags import TagTable
from foresight_cache.records import canonical_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Samples that a raw folder has for a request."""

    inventory: Inventory
    """Number of files of the folder by what becomes of them."""
    classes: tuple[str, ...]
    """Names of the classes of all samples that have one, in order."""
    counts: tuple[SplitCount, ...]
    samples: Sequence[ListedSample]
    """The selected ones, in order."""
    absent: AbsentSamples
    """Samples that are listed and not there, in a part of a set."""
    groups: int
    """Number of groups of the selected samples, before those of equal media are joined."""
    unmatched: int
    """Number of selected samples in whose names the manifest's pattern of groups is not found; 0 without one."""
    remarks: tuple[str, ...]
    """Sentences on annotations that contradict each other, or of which most tasks use none."""
    source: str
    """SHA-256 over the annotations of the samples, before anything of their media is known."""


def list_samples(request: PreparationRequest, root: Path) -> Listing:
    """Returns what a raw folder lists, counted and selected. Raises `DatasetError`."""
    reader = datasets.reader(request.manifest.family)(request.manifest.name, root, request.options.folder_rules)
    if isinstance(reader, BoxReader) and request.options.boxes is not None:
        reader.read_boxes_as(request.options.boxes)
    splits = _splits(request, reader)
    selection = request.options.selection
    if not selection.partial:
        check_checksums(request.manifest, root)
    by_split = {split: list(_grouped_samples(request, reader, split)) for split in splits}
    inventory = reader.inventory(chain.from_iterable(by_split.values()), splits)
    if request.address is not None:
        inventory.root = request.address
    for split, samples in by_split.items():
        check_not_empty(request.manifest, split, samples, inventory)
    counts = count_splits(request.manifest, {split: len(samples) for split, samples in by_split.items()})
    if not selection.partial:
        check_counts(request.manifest, counts, request.options.max_bad)
    tagged, remarks = _tagged(request, list(chain.from_iterable(by_split.values())))
    ordered = selection.order(tagged)
    selected = selection.select(ordered)
    absent = AbsentSamples.of(ordered) if selection.partial else AbsentSamples()
    groups, unmatched = _count_groups(request, selected)
    # What a part lacks is left out of the selection, not of the digest: it may come and go.
    source = _digest(ordered if selection.partial else selected)
    return Listing(
        inventory=inventory,
        classes=_classes(ordered),
        counts=counts,
        samples=selected,
        absent=absent,
        groups=groups,
        unmatched=unmatched,
        remarks=(
            *(reader.remarks() if isinstance(reader, RemarkingReader) else ()),
            *remarks,
            *_tell_crowds(selected),
        ),
        source=source,
    )


def check_listing(request: PreparationRequest, listing: Listing) -> None:
    """Raises `DatasetError` where there is nothing to pack, or data that would be passed over."""
    check_inventory(listing.inventory, request.options.folder_rules)
    if listing.absent.ids and not listing.samples:
        refuse_absent_set(request.manifest, listing.absent, listing.inventory)


def _tagged(
    request: PreparationRequest, samples: Sequence[ListedSample]
) -> tuple[Sequence[ListedSample], tuple[str, ...]]:
    """Returns samples with the tags of the owner's table, where there is one, and remarks. Raises `DatasetError`."""
    table = request.options.tags
    return (samples, ()) if table is None else TagTable.load(table).tagged(samples)


def _classes(samples: Iterable[ListedSample]) -> tuple[str, ...]:
    annotations = (listed.sample.annotations for listed in samples if isinstance(listed, RawSample))
    return tuple(sorted({each["class"]["name"] for each in annotations if "class" in each}))


def _tell_crowds(samples: Iterable[ListedSample]) -> tuple[str, ...]:
    """Returns what is to be said where every object counts as a crowd, which most tasks leave out."""
    annotations = [listed.sample.annotations for listed in samples if isinstance(listed, RawSample)]
    crowds = [entry["crowd"] for kinds in annotations for entry in kinds.get("objects", ())]
    if not crowds or not all(crowds):
        return ()
    return (
        f"{len(crowds):,} objects, all of them crowds (iscrowd 1), which the tasks of boxes and numbers leave out; "
        "tools write iscrowd 1 for brush masks of single objects too: give these 0",
    )


def _count_groups(request: PreparationRequest, selected: Sequence[ListedSample]) -> tuple[int, int]:
    """Returns the numbers of groups, and of samples in whose names no group is found.

    Raises `DatasetError` where it is found in none: the pattern is there to keep what belongs together on one side of a
    split, and does not.
    """
    samples = [listed.sample for listed in selected if isinstance(listed, RawSample)]
    groups = len({sample.group for sample in samples})
    unmatched = [sample for sample in samples if not request.manifest.group_match(sample)]
    if request.manifest.group is None:
        return groups, 0
    if samples and len(unmatched) == len(samples):
        raise DatasetError(
            f"group {request.manifest.group!r} of the manifest {request.manifest.name!r} matches none of the "
            f"{len(samples):,} file names, such as {samples[0].file_name}; samples that belong together would come "
            "apart, so correct the pattern or leave it out"
        )
    return groups, len(unmatched)


def _grouped_samples(request: PreparationRequest, reader: Reader, split: str) -> Iterator[ListedSample]:
    """Yields all samples of a split, in groups as the manifest says. Raises `DatasetError`."""
    for listed in reader.samples(split):
        if isinstance(listed, RawSample):
            group = request.manifest.group_of(listed.sample)
            yield replace(listed, sample=replace(listed.sample, group=group))
        else:
            yield listed


def _splits(request: PreparationRequest, reader: Reader) -> tuple[str, ...]:
    """Returns the splits to prepare; one that the manifest lists and the folder lacks is refused when it is read."""
    split, present = request.options.split, reader.splits()
    if split is None:
        expected = request.manifest.splits or present
        if not request.options.selection.partial:
            return expected
        if not set(expected) & set(present):
            raise DatasetError(
                f"{request.options.root} has none of the splits {', '.join(expected)} of {request.manifest.name!r}; "
                f"splits there: {', '.join(present)}"
            )
        return tuple(name for name in expected if name in present)
    if split not in present:
        there = ", ".join(present)
        raise DatasetError(f"there is no split {split!r} in {request.options.root}; splits there: {there}")
    return (split,)


def make_raw(request: PreparationRequest) -> Path:
    """Draws a generated set anew, or fetches tars, and returns the raw folder. Raises `DatasetError`."""
    root = request.out / RAW
    if request.address is not None:
        from foresight_cache.preparation.fetching import fetch_tars  # brings torch

        fetch_tars(request.address, root)
        return root
    shutil.rmtree(root, ignore_errors=True)
    count = request.options.selection.limit or request.manifest.count or 1
    source = {"source": request.material} if request.material else {}
    datasets.generator(str(request.manifest.generator)).generate(root, count=count, seed=request.options.seed, **source)
    return root


def _digest(samples: Iterable[ListedSample]) -> str:
    source = hashlib.sha256()
    for listed in samples:
        known = listed.sample.to_json() if isinstance(listed, RawSample) else {"id": listed.id, "reason": listed.reason}
        source.update(canonical_json(known) + b"\n")
    return source.hexdigest()
