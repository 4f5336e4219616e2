"""Judged answers given to a study: of which of its datasets they are, and whether there are labels at all."""

from collections.abc import Mapping, Sequence
from typing import Any

from foresight_cache.errors import UsageError
from foresight_cache.reader import Cache, open_cache
from foresight_cache.sample_table import SampleTableRow
from foresight_probes.studies.study import Study

TASK = "hallucination"
"""Task whose targets are labels of answers."""
SEPARATOR = "="
"""What stands between the study's name of a dataset and its answers, where both are given."""


def asked_datasets(study: Study) -> tuple[str, ...]:
    """Returns the names of datasets, without variants, whose answers a study asks about."""
    every = dict.fromkeys(group.dataset for group in study.runs.values() if TASK in group.tasks)
    return tuple(dict.fromkeys(study.datasets[name].variant_of or name for name in every))


def answers_by_dataset(study: Study, places: Sequence[str]) -> dict[str, str]:
    """Returns files of judged answers by the names of the datasets whose questions they answer, without variants.

    A place may be `<name>=<file>`; without a name it is of all datasets whose answers the study asks about. Raises
    `UsageError` where the study asks about none, and where a dataset has two.
    """
    asked, found = asked_datasets(study), dict[str, str]()
    for place in places:
        name, separator, inner = place.partition(SEPARATOR)
        is_named = bool(separator) and name in study.own_datasets()
        names = (name,) if is_named else asked
        if not names:
            raise UsageError(
                f"the study {study.name} asks about no answers of a model; leave out --answers, or name the dataset, "
                f"as in {next(iter(study.own_datasets()))}={place}"
            )
        for own in names:
            if own in found:
                raise UsageError(f"{place} are second answers of {own!r}, which has {found[own]}; give one")
            found[own] = inner if is_named else place
    return found


def with_answers(study: Study, caches: Mapping[str, Cache], places: Sequence[str]) -> dict[str, Cache]:
    """Returns caches whose samples carry the answers of their dataset, its variants' too, since labels are the same.

    Raises as `answers_by_dataset` and `open_cache` do.
    """
    files = answers_by_dataset(study, places)
    answered = {}
    for name, cache in caches.items():
        own = study.datasets[name].variant_of or name
        answered[name] = open_cache(cache.path, answers=files[own]) if own in files else cache
        if own in files:
            len(answered[name].rows)  # answers of another dataset are refused here, and not where they are first used
    return answered


def require_labels(study: Study, caches: Mapping[str, Cache]) -> None:
    """Raises `UsageError`, with the commands that make them, where no sample of a dataset says if it was hallucinated.

    A dataset without a cache is passed over.
    """
    for name in asked_datasets(study):
        if name in caches and not any(label_of(row) is not None for row in caches[name].rows):
            data = study.datasets[name]
            shards = f"shards/{data.dataset}-{data.split}"
            prompt = "{question}" if data.prompt is None else data.prompt
            raise UsageError(
                f"no sample of {caches[name].path} says whether an answer to it was hallucinated, which {study.name} "
                f"asks about; make answers by 'foresight answers {shards} --model {data.model or study.model} --prompt "
                f"\"{prompt}\" --size {data.size} --out answers' and judge them by 'foresight judge answers --rules "
                f"{_rules(data.dataset)} --out judged.jsonl', then add --answers judged.jsonl"
            )


def foreign_answers(study: Study, caches: Mapping[str, Cache]) -> list[str]:
    """Returns a sentence for each dataset, without variants, whose answers are of another model than its cache."""
    own = [cache for name, cache in caches.items() if cache.answers and name in study.own_datasets()]
    told = [cache.answers.foreign_to(cache.fingerprint["model"], cache.path) for cache in own if cache.answers]
    return [sentence for sentence in told if sentence]


def label_of(row: SampleTableRow) -> bool | None:
    """Returns whether the answer to a sample's question was hallucinated; None where nobody knows."""
    hallucinated = qa_of(row).get("hallucinated")
    return hallucinated if isinstance(hallucinated, bool) else None


def qa_of(row: SampleTableRow) -> Mapping[str, Any]:
    """Returns what is known of a sample's question and of the answer to it, by name."""
    qa: Mapping[str, Any] = row["annotations"].get("qa") or {}
    return qa


def _rules(dataset: str) -> str:
    """Returns the rules by which answers to a benchmark are judged."""
    known = ("pope", "amber", "mme", "hallusionbench", "haloquest", "mathvista")
    return dataset if dataset in known else "any"
