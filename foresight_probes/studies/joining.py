"""Caches given to a study: which is of which of its datasets, and what must be said of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foresight_cache.errors import UsageError
from foresight_cache.reader import Cache, open_cache
from foresight_probes.studies.judged_answers import with_answers
from foresight_probes.studies.shared_samples import only_shared, require_same_samples
from foresight_probes.studies.study import Study, StudyDataset
from foresight_probes.studies.variants import variant_name

SEPARATOR = "="
"""What stands between the study's name of a dataset and its cache, where both are given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """Caches by the study's names of datasets."""

    caches: Mapping[str, Cache]
    remarks: tuple[str, ...]
    """What a reader must know of them: other datasets than the study's, and other numbers of samples."""


def join(study: Study, places: Sequence[str], *, shared: bool = False, answers: Sequence[str] = ()) -> Joined:
    """Opens caches and gives each to the dataset that it is of, or else to the first free one of the same medium.

    A place may be `<name>=<cache>`, with a name of the study's. Of several caches of one dataset each goes to the
    variant whose size, model or merging it has. All that are of one dataset must show the same samples.

    Args:
        study: The study.
        places: Caches, at most one for each of its datasets and variants.
        shared: Whether those samples alone are used that all variants of a dataset have; else they must have the same.
        answers: Files of judged answers, each perhaps as `<name>=<file>` (`judged_answers.answers_by_dataset`).

    Raises: `UsageError` where there is no place for a cache, or where two do not show the same, and `AnswersError` for
        answers that are not of a cache's samples.
    """
    opened = [_opened(study, place) for place in places]
    caches: dict[str, Cache] = {}
    for name, cache in sorted(opened, key=lambda own: not own[0]):  # those that are named first
        chosen = name or _place_of(study, cache, caches, [own for _, own in opened])
        if chosen in caches:
            raise UsageError(f"{cache.path} is a second cache of {chosen!r}, which is {caches[chosen].path}; give one")
        caches[chosen] = cache
    ordered = {name: caches[name] for name in study.datasets if name in caches}
    remarks = _remarks(study, ordered)
    ordered = with_answers(study, ordered, answers)
    for name in study.own_datasets():
        family = {own: cache for own, cache in ordered.items() if name in (own, study.datasets[own].variant_of)}
        if len(family) > 1:
            compared, said = _compared(family, shared=shared)
            ordered |= compared
            remarks += said
    return Joined(caches=ordered, remarks=tuple(remarks))


def _compared(family: Mapping[str, Cache], *, shared: bool) -> tuple[Mapping[str, Cache], list[str]]:
    """Returns caches of one dataset as they are used, and what is said of them. Raises `UsageError`."""
    first, *others = family
    for name in others:
        if family[name].digest == family[first].digest:
            raise UsageError(
                f"{family[name].path} ({name}) has the fingerprint of {family[first].path} ({first}), so that nothing "
                "of it differs; give another cache"
            )
        if not shared:
            require_same_samples(family[first], family[name], (first, name))
    return only_shared(family) if shared else (family, [])


def _opened(study: Study, place: str) -> tuple[str, Cache]:
    """Returns a cache with the name that it was given by, empty where it was given without one."""
    name, separator, inner = place.partition(SEPARATOR)
    is_named = bool(separator) and name in study.datasets
    return (name, open_cache(inner)) if is_named else ("", open_cache(place))


def _place_of(study: Study, cache: Cache, taken: Mapping[str, Cache], every: Sequence[Cache]) -> str:
    media, name = media_of(cache), dataset_of(cache)
    alone = {own: data for own, data in study.own_datasets().items() if data.media == media}
    alike = {own: data for own, data in alone.items() if data.reverse == reverse_of(cache)}
    several = sum((dataset_of(own), reverse_of(own)) == (name, reverse_of(cache)) for own in every) > 1
    for own in [own for own, data in alike.items() if data.dataset == name]:
        if several and (fitting := _fitting(study, own, cache, taken)):
            return fitting
        if own not in taken:
            return own
    free = {own: data for own, data in alone.items() if own not in taken}
    if not free:
        wanted = ", ".join(f"{own} ({data.media}s of {data.dataset})" for own, data in study.own_datasets().items())
        raise UsageError(
            f"{cache.path} has {media}s of {name} at {size_of(cache)}, for which the study {study.name} has no place "
            f"left; its datasets are {wanted}; write NAME=CACHE to say which it is"
        )
    return next(iter({own: data for own, data in free.items() if own in alike} or free))


def _fitting(study: Study, name: str, cache: Cache, taken: Mapping[str, Cache]) -> str:
    """Returns which of a dataset and its variants a cache fits and has no cache yet; one that names its model first."""
    own = {name: study.datasets[name]}
    own |= {other: data for other, data in study.datasets.items() if data.variant_of == name and other not in taken}
    fitting = [other for other, data in own.items() if _fits(data, cache)]
    named = [other for other in fitting if own[other].model]
    return next((other for other in (*named, *fitting) if other not in taken), "")


def _fits(data: StudyDataset, cache: Cache) -> bool:
    model = cache.fingerprint.get("model", {}).get("name")
    same_size = _sides(data.size) == _sides(size_of(cache))
    same = same_size and _has_input(data, cache)
    return same and merged_of(cache) == data.merged and data.model in ("", model)


def _has_input(data: StudyDataset, cache: Cache) -> bool:
    return blank_of(cache) == data.blank and data.prompt in (None, prompt_of(cache))


def _sides(size: str) -> str:
    """Returns a size with both sides.

    >>> _sides("448"), _sides("448x672"), _sides("native")
    ('448x448', '448x672', 'native')
    """
    return f"{size}x{size}" if size.isdigit() else size


def size_of(cache: Cache) -> str:
    """Returns the input size of a cache, as in `448x448`."""
    return str(cache.fingerprint.get("input", {}).get("size", ""))


def _described(cache: Cache, data: StudyDataset) -> str:
    model = cache.fingerprint.get("model", {}).get("name", "a model without a name")
    return f"{model} at {size_of(cache)}" + _ways(
        merged_of(cache), None if data.prompt is None else prompt_of(cache), blank_of(cache)
    )


def _input(data: StudyDataset) -> str:
    return f"{data.model or 'the same model'} at {_sides(data.size)}{_ways(data.merged, data.prompt, data.blank)}"


def _ways(merged: int, prompt: str | None, blank: str) -> str:
    """Returns in words what a cache of features may differ in besides model and size."""
    ways = f", {merged}×{merged} tokens merged" if merged > 1 else ""
    ways += "" if prompt is None else f", with the prompt {prompt!r}"
    return ways + ("" if blank == "none" else f", {blank} in the place of each image")


def prompt_of(cache: Cache) -> str | None:
    """Returns the prompt of a cache's model, with `{question}` for that of each sample; None where it has no text."""
    prompt = cache.fingerprint.get("model", {}).get("prompt")
    return None if prompt is None else str(prompt)


def blank_of(cache: Cache) -> str:
    """Returns `grey` or `noise` where such stood in the place of each image, else `none`."""
    return str(cache.fingerprint.get("input", {}).get("blank_image") or "none")


def merged_of(cache: Cache) -> int:
    """Returns how many rows and columns of neighbouring tokens were averaged to make each of its tokens."""
    return int(cache.fingerprint.get("tokens", {}).get("merged", 1))


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
        cache, base = caches[name], caches.get(data.variant_of)
        if base is not None and dataset_of(base) == dataset_of(cache) != data.dataset:
            continue  # it was said of the dataset itself
        if (dataset_of(cache), media_of(cache)) != (data.dataset, data.media):
            remarks.append(
                f"{name} are {len(cache):,} {media_of(cache)}s of {dataset_of(cache)}, and not of {data.dataset}, for "
                "which the study's thresholds are meant"
            )
        elif reverse_of(cache) != data.reverse:
            remarks.append(f"of {name} {reverse_of(cache)} are played backwards, where the study means {data.reverse}")
        elif not (_fits if data.variant_of else _has_input)(data, cache):
            remarks.append(f"{name} is a cache of {_described(cache, data)}, where the study means {_input(data)}")
        elif len(cache) != data.samples:
            remarks.append(f"{name} are {len(cache):,} samples, where the study means {data.samples:,} ({data.split})")
    return remarks


def commands_for(study: Study, name: str, points: Sequence[str]) -> str:
    """Returns the commands that make the cache of a dataset, or of a variant."""
    data = study.datasets[name]
    frames = f" --frames {data.frames}" if data.frames else ""
    frames += "" if data.prompt is None else f" --prompt '{data.prompt}'"
    frames += "" if data.blank == "none" else f" --blank-image {data.blank}"
    frames += f" --reverse {data.reverse}" if data.reverse != "none" else ""
    base = f"caches/{data.dataset}-{data.split}" + ("-reversed" if data.reverse != "none" else "")
    cache = f"{base}-{name.removeprefix(variant_name(data.variant_of, ''))}" if data.variant_of else base
    chosen = f"--points '{','.join(points)}'"
    if data.merged > 1:
        return f"foresight merge-tokens {base} --cells {data.merged} {chosen} --out {cache}"
    shards = f"shards/{data.dataset}-{data.split}"
    root = "" if data.drawn else "--root ROOT "
    return (
        f"foresight prepare {data.dataset} {root}--split {data.split} --limit {data.samples} --out {shards}; "
        f"foresight extract {shards} --model {data.model or study.model} {chosen} --size {data.size}{frames} "
        f"--out {cache}"
    )


def lacking_remarks(cache: Cache, lacking: Sequence[str]) -> list[str]:
    """Returns the command that adds the points that a cache lacks; nothing where it lacks none."""
    if not lacking:
        return []
    made = f"extract SHARDS --model {cache.fingerprint['model'].get('name', 'MODEL')}"
    if (cells := merged_of(cache)) > 1:
        made = f"merge-tokens CACHE --cells {cells}"
    points = ",".join(lacking)
    return [
        f"{cache.path} lacks {', '.join(lacking)}; they are added by: foresight {made} --points {points} --out "
        f"{cache.path}"
    ]
