"""Pairs of results that may be compared sample by sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_probes import tasks
from foresight_probes.metrics.resamples import Statistic
from foresight_probes.results.comparable import OF_INTERVALS, recipe_of
from foresight_probes.results.result import Result
from foresight_probes.statistics.paired import PERMUTATIONS, PairedComparison, compare_pair, with_seeds
from foresight_probes.tasks import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Test samples of two runs that are paired by their ids."""

    shared: int
    """Samples that both were tested on."""
    first_alone: int
    second_alone: int


def overlap_of(one: Result, other: Result) -> Overlap:
    """Returns how many test samples two results share, and how many each has alone."""
    first, second = ({score.id for score in result.scores} for result in (one, other))
    return Overlap(shared=len(first & second), first_alone=len(first - second), second_alone=len(second - first))


def compare_runs(
    first: Sequence[Result],
    second: Sequence[Result],
    *,
    metric: str,
    confidence: float = 0.95,
    tests: int = 1,
    by_id: bool = False,
    statistic: Statistic | None = None,
) -> PairedComparison | None:
    """Compares a metric of the runs of two points, heads or caches, those of one seed with each other.

    None where the metric is not defined for one of the two.

    Args:
        first: Results that differ in their seeds alone.
        second: The same of what is compared with them.
        metric: A metric of their task, or one that `statistic` makes.
        confidence: Confidence of the intervals.
        tests: Tests that are made at once, for the minimum detectable difference.
        statistic: Function that makes the metric of the results' scores; None for the task's own.
        by_id: Whether the test samples that both have are paired by their ids, whatever other samples and splits each
            has; else they must have the same.

    Raises: `ProbeError` for runs that have no seed or no test sample in common, or that were not scored by the same
        recipe, or, but by id, on the same test samples.
    """
    by_seed = {result.seed: result for result in second}
    pairs = [(result, by_seed[result.seed]) for result in first if result.seed in by_seed]
    if not pairs:
        seeds = [", ".join(str(result.seed) for result in own) for own in (first, second)]
        raise ProbeError(
            f"{_named(first[0])} has the seeds {seeds[0]} and {_named(second[0])} {seeds[1]}, none in common"
        )
    found = [_compared(one, other, metric, confidence, tests, statistic, by_id=by_id) for one, other in pairs]
    known = [comparison for comparison in found if comparison is not None]
    return with_seeds(known, confidence=confidence, tests=tests) if known else None


def _compared(
    one: Result,
    other: Result,
    metric: str,
    confidence: float,
    tests: int,
    statistic: Statistic | None,
    *,
    by_id: bool,
) -> PairedComparison | None:
    _require_comparable(one, other, by_id=by_id)
    task = task_of(one)
    first, second = ({score.id: score for score in result.scores} for result in (one, other))
    if by_id:
        first = {name: score for name, score in first.items() if name in second}
        if not first:
            raise ProbeError(
                f"{_named(one)} and {_named(other)} have no test sample in common, by their ids; {_ADVICE}"
            )
    elif first.keys() != second.keys():
        raise ProbeError(f"{_named(one)} and {_named(other)} were scored on other test samples; {_ADVICE}")
    if any(first[name].group != second[name].group for name in first):
        raise ProbeError(f"{_named(one)} and {_named(other)} have other groups of the same test samples; {_ADVICE}")
    try:
        return compare_pair(
            [np.array(first[name].scores) for name in first],
            [np.array(second[name].scores) for name in first],
            [score.group for score in first.values()],
            statistic or task.resampled_metrics,
            metric,
            permutations=0 if task.targets_from == "features" else PERMUTATIONS,
            confidence=confidence,
            tests=tests,
            refits=_refitted(one, other, metric),
        )
    except (ValueError, IndexError) as error:
        raise ProbeError(
            f"the scores of {_named(one)} and {_named(other)} are not those of the task {one.task!r} ({error}); "
            "train these runs again"
        ) from error


def _refitted(one: Result, other: Result, metric: str) -> list[float]:
    """Returns the differences of both, found again without the same part of the samples; none where there is no such.

    Parts of another split are other parts.
    """
    if one.split.get("digest") != other.split.get("digest"):
        return []
    first, second = (result.refits.get(metric, ()) for result in (one, other))
    return [own - beside for own, beside in zip(first, second, strict=True)] if first and second else []


_ADVICE = "compare runs of one sweep, or of two with the same dataset, split and options"


def _require_comparable(one: Result, other: Result, *, by_id: bool) -> None:
    of_samples = {
        "split": (one.split.get("digest"), other.split.get("digest")),
        "prepared dataset": (one.cache.get("data"), other.cache.get("data")),
    }
    for what, values in {
        "task": (one.task, other.task),
        **({} if by_id else of_samples),
        "recipe": tuple(recipe_of(result, without=OF_INTERVALS) for result in (one, other)),
    }.items():
        if values[0] != values[1]:
            raise ProbeError(f"{_named(one)} and {_named(other)} have another {what}{_difference(*values)}; {_ADVICE}")


def _difference(one: object, other: object) -> str:
    """Names the options that differ, or the beginnings of digests."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
        return f" ({', '.join(f'{name} {one.get(name)} and {other.get(name)}' for name in names)})"
    return f" ({str(one)[:12]} and {str(other)[:12]})"


def _named(result: Result) -> str:
    return f"{result.run} on {result.point}"


def task_of(result: Result) -> Task:
    """Returns the task of a result, with the metric first that its options made so."""
    task = tasks.load(result.task)
    if result.primary not in task.metric_names:
        task.metric_names = (result.primary, *task.metric_names)
    return task
