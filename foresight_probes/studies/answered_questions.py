"""Judged questions of a cache, and those that a run tested, with what is known of each without its features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.sample_table import SampleTableRow
from foresight_probes.hallucination.category_rate import category_rate
from foresight_probes.hallucination.first_token import ANSWER_NUMBERS, REGRESSION, Baseline, first_token_baselines
from foresight_probes.hallucination.questions import Questions
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result
from foresight_probes.splits import Split, joined
from foresight_probes.studies.judged_answers import label_of, qa_of
from foresight_probes.studies.named_points import single_points
from foresight_probes.sweeps.divisions import WHOLE, Division
from foresight_probes.sweeps.targets import usable_rows

UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tested:
    """Questions that a run tested, in the order of their ids, with what tells their labels without an image."""

    ids: tuple[str, ...]
    questions: Questions
    """Their categories are sources and types together."""
    types: tuple[str, ...]
    category_rates: np.ndarray
    """Rate of hallucinated answers of each question's category among those that are not tested, [S] float64."""
    baselines: tuple[Baseline, ...]
    """Detectors from numbers of the answer, the regression fitted on the questions that are not tested."""


def judged_rows(cache: Cache) -> list[int]:
    """Returns the usable rows of the sample table whose answers are known to be hallucinated or not."""
    return [row for row in usable_rows(cache) if label_of(cache.rows[row]) is not None]


def questions_of(cache: Cache, rows: Sequence[int]) -> Questions:
    """Returns what is known of judged questions, by their rows of the sample table."""
    own = [cache.rows[row] for row in rows]
    return Questions(
        labels_N=np.array([int(bool(label_of(row))) for row in own], dtype=np.int64),
        images=tuple(str(row["group"]) for row in own),
        categories=tuple(category_of(row) for row in own),
        sources=tuple(source_of(row) for row in own),
    )


def type_of(row: SampleTableRow) -> str:
    """Returns the type of a sample's question, such as `counting`."""
    return str(qa_of(row).get("type") or UNKNOWN)


def source_of(row: SampleTableRow) -> str:
    """Returns the benchmark that a sample's question is from."""
    return str(qa_of(row).get("source") or UNKNOWN)


def category_of(row: SampleTableRow) -> str:
    """Returns source and type together, which is what tells a label without image and model."""
    return f"{source_of(row)}: {type_of(row)}"


def vectors_of(cache: Cache, point: str, rows: Sequence[int]) -> np.ndarray:
    """Returns one vector for each row, the mean over its tokens, [N, D] float32; of several points side by side."""
    parts = [np.stack([cache[name][row].mean(0) for row in rows]) for name in single_points(point)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def tested(result: Result, cache: Cache) -> Tested:
    """Returns the judged questions that a run tested.

    Raises `ProbeError` where the run was made from other samples or labels than the cache has, or where those that are
    not tested have one label alone.
    """
    options = TrainingOptions(**result.options)
    shares = (options.train_share, options.validation_share)
    found = _tested(cache, shares, int(result.split["folds"]) if "folds" in result.split else 0)
    splits, every = found
    digest = joined(splits).digest if "folds" in result.split else splits[0].digest
    if digest != result.split.get("digest") or set(every.ids) != {score.id for score in result.scores}:
        raise ProbeError(
            f"{result.task} by {result.run} on {result.point} was tested on other questions than those of {cache.path} "
            "with a label; give the answers that it was trained with"
        )
    return every


@lru_cache(maxsize=8)
def _tested(cache: Cache, shares: tuple[float, float], folds: int) -> tuple[tuple[Split, ...], Tested]:
    """Returns the splits, and what is known of all that they test; the same for the runs of all points."""
    usable, rows = usable_rows(cache), judged_rows(cache)
    options = TrainingOptions(train_share=shares[0], validation_share=shares[1], folds=folds or None)
    divisions = [Division(fold=number) for number in range(folds)] or [WHOLE]
    splits = tuple(division.split(cache, usable, options) for division in divisions)
    every, place = questions_of(cache, rows), {row: number for number, row in enumerate(rows)}
    numbers = _numbers(cache, rows)
    rates = np.full(len(rows), np.nan)
    scores: dict[str, Baseline] = {}
    for split in splits:
        train = np.array([place[row] for row in (*split.train, *split.validation) if row in place], dtype=np.int64)
        test = np.array([place[row] for row in split.test if row in place], dtype=np.int64)
        if not len(test) or not len(train):
            continue
        categories = [[every.categories[row] for row in part] for part in (train, test)]
        rates[test] = category_rate(every.labels_N[train], *categories)
        for own in _baselines(numbers, every, train, test):
            scores[own.name] = _with(scores.get(own.name), own, test, len(rows))
    order = sorted(np.flatnonzero(np.isfinite(rates)), key=lambda row: cache.rows[rows[row]]["id"])
    kept = np.array(order, dtype=np.int64)
    return splits, Tested(
        ids=tuple(str(cache.rows[rows[row]]["id"]) for row in kept),
        questions=every.take(kept),
        types=tuple(type_of(cache.rows[rows[row]]) for row in kept),
        category_rates=rates[kept],
        baselines=tuple(_of_rows(own, kept) for own in scores.values()),
    )


def _baselines(
    numbers: Mapping[str, np.ndarray], questions: Questions, train: np.ndarray, test: np.ndarray
) -> list[Baseline]:
    labels, images = questions.labels_N, questions.images
    try:
        return first_token_baselines(numbers, labels, images, train=train, test=test)
    except ProbeError as error:
        return [Baseline(name=REGRESSION, scores=None, are_probabilities=True, reason=str(error))]


def _with(known: Baseline | None, own: Baseline, test: np.ndarray, count: int) -> Baseline:
    """Returns a baseline of all rows, with the scores of those that were tested now."""
    reason = (known.reason if known else "") or own.reason
    if reason or own.scores is None:
        return Baseline(name=own.name, scores=None, are_probabilities=own.are_probabilities, reason=reason)
    scores = np.full(count, np.nan) if known is None or known.scores is None else known.scores
    scores[test] = own.scores
    return Baseline(name=own.name, scores=scores, are_probabilities=own.are_probabilities)


def _of_rows(own: Baseline, rows: np.ndarray) -> Baseline:
    scores = None if own.scores is None else own.scores[rows]
    return Baseline(name=own.name, scores=scores, are_probabilities=own.are_probabilities, reason=own.reason)


def _numbers(cache: Cache, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns columns of numbers of answers, NaN where an answer lacks one; without those that all answers lack."""
    columns = {}
    for name in ANSWER_NUMBERS:
        values = [qa_of(cache.rows[row]).get(name) for row in rows]
        if any(value is not None for value in values):
            columns[name] = np.array([np.nan if value is None else float(value) for value in values])
    return columns
