"""Caches given to a study: which is of which of its datasets, and what must be said of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foresight_cache.errors import UsageError
from foresight_cache.reader import Cache, open_cache
from foresight_probes.studies.study import Study, StudyDataset

SEPARATOR = "="
"""What stands between the study's name of a dataset and its cache, where both are given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """Caches by the study's names of datasets."""

    caches: Mapping[str, Cache]
    remarks: tuple[str, ...]
    """What a reader must know of them: other datasets than the study's, and other numbers of samples."""


def join(study: Study, places: Sequence[str]) -> Joined:
    """Opens caches and gives each to the dataset that it is of, or else to the first free one of the same medium.

    A place may be `<name>=<cache>`, with a name of the study's. Raises `UsageError` where there is no place for one.
    """
    caches: dict[str, Cache] = {}
    for place in places:
        name, separator, inner = place.partition(SEPARATOR)
        is_named = bool(separator) and name in study.datasets
        cache = open_cache(inner if is_named else place)
        chosen = name if is_named else _place_of(study, cache, caches)
        if chosen in caches:
            raise UsageError(f"{place} is a second cache of {chosen!r}, which is {caches[chosen].path}; give one")
        caches[chosen] = cache
    ordered = {name: caches[name] for name in study.datasets if name in caches}
    return Joined(caches=ordered, remarks=tuple(_remarks(study, ordered)))


def _place_of(study: Study, cache: Cache, taken: Mapping[str, Cache]) -> str:
    media, name = media_of(cache), dataset_of(cache)
    free = {own: data for own, data in study.datasets.items() if own not in taken and data.media == media}
    alike = {own: data for own, data in free.items() if data.reverse == reverse_of(cache)}
    for own, data in alike.items():
        if data.dataset == name:
            return own
    if not free:
        wanted = ", ".join(f"{own} ({data.media}s of {data.dataset})" for own, data in study.datasets.items())
        raise UsageError(
            f"{cache.path} has {media}s of {name}, for which the study {study.name} has no place left; its datasets "
            f"are {wanted}; write NAME=CACHE to say which it is"
        )
    return next(iter(alike or free))


def media_of(cache: Cache) -> str:
    """Returns `image` or `clip`."""
    return next((str(row["media"]) for row in cache.rows), "image")


def reverse_of(cache: Cache) -> str:
    """Returns `half` where half of the clips were played backwards, else `none`."""
    return str(cache.fingerprint.get("input", {}).get("reverse", "none"))


def dataset_of(cache: Cache) -> str:
    """Returns the name of the dataset that a cache is of."""
    return str(cache.fingerprint.get("dataset", {}).get("name", "a dataset without a name"))


def _remarks(study: Study, caches: Mapping[str, Cache]) -> list[str]:
    remarks = []
    for name, data in study.datasets.items():
        if name not in caches:
            continue
        cache = caches[name]
        if (dataset_of(cache), media_of(cache)) != (data.dataset, data.media):
            remarks.append(
                f"{name} are {len(cache):,} {media_of(cache)}s of {dataset_of(cache)}, and not of {data.dataset}, for "
                "which the study's thresholds are meant"
            )
        elif reverse_of(cache) != data.reverse:
            remarks.append(f"of {name} {reverse_of(cache)} are played backwards, where the study means {data.reverse}")
        elif len(cache) != data.samples:
            remarks.append(f"{name} are {len(cache):,} samples, where the study means {data.samples:,} ({data.split})")
    return remarks


def commands_for(study: Study, data: StudyDataset, points: Sequence[str]) -> str:
    """Returns the commands that make the cache of a dataset."""
    frames = f" --frames {data.frames}" if data.frames else ""
    frames += f" --reverse {data.reverse}" if data.reverse != "none" else ""
    cache = f"caches/{data.dataset}-{data.split}" + ("-reversed" if data.reverse != "none" else "")
    shards = f"shards/{data.dataset}-{data.split}"
    return (
        f"foresight prepare {data.dataset} --root ROOT --split {data.split} --limit {data.samples} --out {shards}; "
        f"foresight extract {shards} --model {study.model} --points '{','.join(points)}' --size {data.size}{frames} "
        f"--out {cache}"
    )
