"""Words that a study looks up: which index is for which of its caches, and what is missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from foresight_cache.errors import UsageError
from foresight_cache.reader import Cache
from foresight_cache.text_index_files import TextIndex, open_index
from foresight_probes.lens.kept_words import WordPlan
from foresight_probes.lens.lens_run import LensRun, device_of
from foresight_probes.studies.joining import SEPARATOR, lacking_remarks
from foresight_probes.studies.named_points import cached_points, lacking_points, named_points
from foresight_probes.studies.study import Study, WordGroup

WORDS = "words"
"""Folder, in that of a study, of the words that were looked up, with a folder for each group."""


def indices_by_dataset(study: Study, places: Sequence[str]) -> dict[str, Path]:
    """Returns folders of indices by the names of the datasets whose tokens are looked up in them.

    A place may be `<name>=<folder>`; without a name it is for all datasets. Raises `UsageError` where the study looks
    nothing up, and where a dataset has two.
    """
    asked = tuple(dict.fromkeys(group.dataset for group in study.words.values()))
    found: dict[str, Path] = {}
    for place in places:
        name, separator, inner = place.partition(SEPARATOR)
        is_named = bool(separator) and name in study.datasets
        if not asked:
            raise UsageError(f"the study {study.name} looks up no words, so that {place} is no use; leave out --index")
        for own in (name,) if is_named else asked:
            if own in found:
                raise UsageError(f"{place} is a second index for {own!r}, which has {found[own]}; give one")
            found[own] = Path(inner if is_named else place)
    return found


def plan_words(
    study: Study, caches: Mapping[str, Cache], places: Sequence[str], device: str
) -> tuple[dict[str, WordPlan], dict[str, str], list[str]]:
    """Returns plans by group of words, why others have none, and the commands that would make what is missing.

    Raises `TextIndexError` for an index of another model, and `UsageError` as `indices_by_dataset` does.
    """
    paths = indices_by_dataset(study, places)
    opened = {path: open_index(path) for path in dict.fromkeys(paths.values())}
    plans: dict[str, WordPlan] = {}
    missing: dict[str, str] = {}
    remarks: list[str] = []
    for name, group in study.words.items():
        cache = caches.get(group.dataset)
        if cache is None:
            missing[name] = f"no cache of {group.dataset} ({study.datasets[group.dataset].dataset}) was given"
        elif group.dataset not in paths:
            missing[name] = "no index of words was given"
            data = study.datasets[group.dataset]
            remarks.append(
                f"no index of words was given, so that {name} is not measured; it is made by: foresight lens index "
                f"PHRASES --model {data.model or study.model} --out indices/{data.dataset}, and given with --index"
            )
        else:
            plan, why, said = _planned(group, cache, opened[paths[group.dataset]], device)
            remarks += [f"{name}: {remark}" for remark in said]
            if plan:
                plans[name] = plan
            else:
                missing[name] = why
    return plans, missing, remarks


def _planned(group: WordGroup, cache: Cache, index: TextIndex, device: str) -> tuple[WordPlan | None, str, list[str]]:
    points, text = (_cached(texts, cache) for texts in (group.points, group.text))
    remarks = lacking_remarks(cache, lacking_points((*group.points, *group.text), cache))
    if not points:
        return None, f"{cache.path} has none of the points {', '.join(group.points)}", []
    lenses = tuple(lens for lens in group.lenses if lens == "contextual" or index.has_vocabulary)
    if without := set(group.lenses) - set(lenses):
        remarks.append(
            f"{index.path} has no vocabulary, so that {' and '.join(sorted(without))} are not looked up; 'foresight "
            "lens index' keeps one unless told otherwise"
        )
    if group.text and not text:
        remarks.append(
            f"{cache.path} has no words of the prompt ({', '.join(group.text)}), so that lengths are of images"
        )
    run = LensRun(cache, index, points, lenses, top=group.top, device=device_of(device))
    return WordPlan(run=run, text=text), "", remarks


def _cached(texts: Sequence[str], cache: Cache) -> tuple[str, ...]:
    return cached_points([name for text in texts for name in named_points(text, cache)], cache)
