"""Metrics that a study may name though no run stores them: they are made from the predictions of finished runs.

What they need of each test sample is kept beside the run, so that a finished study is reported again without
predicting. Their intervals count other test samples and not other training samples, since refits keep no predictions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from foresight_cache.reader import Cache
from foresight_probes.metrics.resamples import Statistic
from foresight_probes.predictions.box_errors import errors_of
from foresight_probes.predictions.box_errors import summary as box_summary
from foresight_probes.predictions.kept_run import Predicted
from foresight_probes.predictions.kept_scores import kept_scores
from foresight_probes.results.pairs import task_of
from foresight_probes.results.result import Result
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.detection_numbers import METRICS, with_what_is_known
from foresight_probes.studies.detection_numbers import summary as detection_summary


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """Numbers of each test sample, made from its prediction, and the metrics that they make."""

    name: str
    """Name in the files that keep the numbers."""
    version: int
    """Raised where the same name is made otherwise."""
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    score: Callable[[Predicted], np.ndarray] | None = None
    """Numbers of a test sample by its prediction; None where they are made of a run's stored scores alone."""
    of_run: Callable[[Result, Cache], Result] | None = None
    """Function that returns a run with such numbers in the place of its scores, and why metrics are not measured."""
    statistic: Statistic


BOX_ERRORS = Derived(
    name="box-errors",
    version=1,
    tasks=("boxes", "position"),
    metrics=("best_match_iou", "centre_error_pixels", "side_error_pixels"),
    score=errors_of,
    statistic=box_summary,
)
DETECTIONS = Derived(
    name="detections",
    version=1,
    tasks=("hallucination",),
    metrics=METRICS,
    of_run=with_what_is_known,
    statistic=detection_summary,
)
EVERY: tuple[Derived, ...] = (BOX_ERRORS, DETECTIONS)


def names(task: str) -> tuple[str, ...]:
    """Lists the derived metrics of a task.

    >>> names("boxes"), names("counting")
    (('best_match_iou', 'centre_error_pixels', 'side_error_pixels'), ())
    """
    return tuple(metric for own in EVERY if task in own.tasks for metric in own.metrics)


def find(task: str, metric: str) -> Derived | None:
    """Returns what a metric of a task is made from; None for a metric that runs store."""
    return next((own for own in EVERY if task in own.tasks and metric in own.metrics), None)


def with_scores(result: Result, cache: Cache, derived: Derived) -> Result:
    """Returns the result with the derived numbers in place of its scores.

    Raises `ProbeError` as `predictions.kept_run.predict` and `answered_questions.tested` do.
    """
    if derived.of_run:
        return derived.of_run(result, cache)
    assert derived.score, "numbers are made of predictions or of runs"  # noqa: S101
    scores = kept_scores(result, cache, derived.name, derived.version, derived.score)
    return replace(result, scores_source=scores)


def intervals(result: Result, statistic: Statistic) -> dict[str, Interval]:
    """Returns the metrics of a result by its scores, with intervals by its options."""
    return bootstrap(
        [np.array(score.scores) for score in result.scores],
        [score.group for score in result.scores],
        statistic,
        resamples=int(result.options.get("resamples", 1000)),
        confidence=float(result.options.get("confidence", 0.95)),
    )


def statistic_of(results: Sequence[Result], metric: str) -> Statistic:
    """Returns the function that makes a metric, stored or derived, of the scores of such results."""
    derived = find(results[0].task, metric)
    return derived.statistic if derived else task_of(results[0]).resampled_metrics
