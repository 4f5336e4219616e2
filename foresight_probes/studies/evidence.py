"""What finished runs say of a measure at a point: its value with the interval, or why there is none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import heads as head_registry
from foresight_probes.calibration.state import CalibrationState, calibration_of
from foresight_probes.options import TrainingOptions
from foresight_probes.results.pairs import task_of
from foresight_probes.results.result import Result, best_of_grids
from foresight_probes.splits import SIDES
from foresight_probes.statistics.groups import fewest
from foresight_probes.statistics.interval import Interval, over_seeds
from foresight_probes.studies import derived_metrics
from foresight_probes.studies.derived_metrics import Derived
from foresight_probes.studies.found_words import FoundWords
from foresight_probes.studies.named_points import cached_points, lacking_points, named_points
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.study import Measure, Study


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The results of a study's groups of runs, and what they were trained from."""

    study: Study
    results: Mapping[str, Sequence[Result]]
    """Results by group of runs, without controls and mean predictors."""
    caches: Mapping[str, Cache]
    """Caches by the study's names of datasets."""
    mean_predictors: Mapping[str, Sequence[Result]] = field(default_factory=dict)
    """Results of the best constant answers by group of runs."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a group of runs has no results, or `<group>.<task>` none of a task, in words."""
    words: Mapping[str, FoundWords] = field(default_factory=dict)
    """Words that were looked up, by group of words."""
    operations: Mapping[str, Mapping[str, float] | str] = field(default_factory=dict)
    """Floating-point operations that compute a sample's features by the study's name of a dataset and point; in words
    why they are not known."""
    diverged: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Runs whose training diverged by group of runs and point."""
    states: dict[tuple[str, str, str], CalibrationState] = field(default_factory=dict)
    readings: dict[tuple[str, str], Reading] = field(default_factory=dict)
    """What was read already, by measure or score and point: mAP of thousands of pictures takes a while."""
    recomputed: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """Metrics that the scores of results make, by identity."""

    def points(self, texts: Sequence[str], measure: str) -> tuple[str, ...]:
        """Returns the points that are meant, of those that the cache of a measure has, in the order of computation."""
        cache = self.cache_of(measure)
        if cache is None:
            return ()
        return cached_points([name for text in texts for name in named_points(text, cache)], cache)

    def lacking(self, texts: Sequence[str], measure: str) -> tuple[str, ...]:
        """Returns the points that are meant by name, not by pattern, and that the cache of a measure lacks."""
        cache = self.cache_of(measure)
        return () if cache is None else lacking_points(texts, cache)

    def cache_of(self, measure: str) -> Cache | None:
        """Returns the cache that a measure is made from; of bytes the first."""
        return self.caches.get(self.dataset_of(measure))

    def dataset_of(self, measure: str) -> str:
        """Returns the study's name of the dataset that a measure is made from; of bytes the first that there is."""
        own = self.study.measures.get(measure) or self.study.measures[self.study.scores[measure].terms[0].measure]
        if own.words:
            return self.study.words[own.words].dataset
        return self.study.runs[own.runs].dataset if own.runs else next(iter(self.caches), "")

    def reading(self, measure: str, point: str) -> Reading:
        """Returns what is known of a measure at a point, by its true name, of the head that validation chooses."""
        if (measure, point) not in self.readings:
            self.readings[measure, point] = self.reading_of(self.study.measures[measure], point)
        return self.readings[measure, point]

    def reading_of(self, own: Measure, point: str) -> Reading:
        """Returns what is known of a measure that need not be the study's, such as one of a single head."""
        if own.words:
            found_words = self.words.get(own.words)
            known = found_words.reading(own.metric, point, own.lens) if found_words else None
            return known or Reading(reason=self.missing.get(own.words, "its words were not looked up"))
        found = self.candidates(own, point)
        if not found:
            return Reading(reason=self.why_missing(own, point))
        fit = [result for result in found if self.state(own, result).calibrated != "unfit"]
        if not fit:
            return Reading(unfit=f"{found[0].head} for {own.task} is {self.state(own, found[0]).reason}")
        return self._read(own, chosen_head(fit))

    def candidates(self, own: Measure, point: str) -> list[Result]:
        """Returns the results of a measure's heads at a point, the best of each grid."""
        allowed = None if own.heads is None else set(head_registry.resolve(own.heads))
        every = [
            result
            for result in self.results.get(own.runs, ())
            if (result.task, result.point) == (own.task, point) and (allowed is None or result.head in allowed)
        ]
        return best_of_grids(every)

    def state(self, own: Measure, result: Result) -> CalibrationState:
        """Returns the state of the calibration of an instrument, with the options of its results."""
        key = (own.runs, own.task, result.head)
        if key not in self.states:
            self.states[key] = calibration_of(own.task, result.head, TrainingOptions(**result.options))
        return self.states[key]

    def why_missing(self, own: Measure, point: str) -> str:
        """Returns why there is no result of a measure at a point, in words."""
        known = self.missing.get(own.runs) or self.missing.get(f"{own.runs}.{own.task}")
        return known or f"{own.task} was not trained on {point}"

    def _read(self, own: Measure, chosen: Sequence[Result]) -> Reading:
        if (derived := derived_metrics.find(own.task, own.metric)) is not None:
            return self._read_derived(own, chosen, derived)
        first = chosen[0]
        intervals = [result.metrics[own.metric] for result in chosen if own.metric in result.metrics]
        if not intervals:
            reason = first.not_measured.get(own.metric, f"{own.metric} is not defined on the test samples")
            return Reading(reason=reason.rstrip("."), results=tuple(chosen))
        for result in chosen:
            if result.identity not in self.recomputed:
                self.recomputed[result.identity] = recomputed_metrics(result)
            require_unedited(result, own.metric, self.recomputed[result.identity])
        return self._reading_of(own, chosen, intervals)

    def _read_derived(self, own: Measure, chosen: Sequence[Result], derived: Derived) -> Reading:
        """Returns a metric that is made from predictions, whose results have the numbers that make it as scores."""
        try:
            cache = self.caches[self.study.runs[own.runs].dataset]
            results = [derived_metrics.with_scores(result, cache, derived) for result in chosen]
        except ProbeError as error:
            return Reading(reason=str(error))
        found = [derived_metrics.intervals(result, derived.statistic) for result in results]
        intervals = [metrics[own.metric] for metrics in found if own.metric in metrics]
        if not intervals:
            reason = results[0].not_measured.get(own.metric, f"{own.metric} is not defined on the test samples")
            return Reading(reason=reason, results=tuple(results))
        said = f"intervals of {own.metric} do not count other training samples"
        return self._reading_of(own, results, intervals, said if chosen[0].refits else "")

    def _reading_of(
        self, own: Measure, chosen: Sequence[Result], intervals: Sequence[Interval], said: str = ""
    ) -> Reading:
        """Returns a reading with these intervals, one for each seed; `said` is what else must be known of them."""
        first = chosen[0]
        state = self.state(own, first)
        unsure = "" if state.calibrated == "fit" else f"{first.head} for {own.task} is {state.reason}"
        return Reading(
            interval=over_seeds(intervals),
            doubt=first.doubt,
            caution="; ".join(part for part in (unsure, said) if part),
            results=tuple(chosen),
            samples=samples_of(first),
            groups=first.split["effective_groups"],
            needed=fewest(own.metric),
        )


def chosen_head(results: Sequence[Result]) -> list[Result]:
    """Returns the results, one for each seed, of the head that is best on validation, the mean over seeds."""
    by_head: dict[str, list[Result]] = {}
    for result in results:
        by_head.setdefault(result.head, []).append(result)
    return max(by_head.values(), key=validation_value)


def validation_value(results: Sequence[Result]) -> float:
    """Returns the mean over seeds of what heads were selected by."""
    return sum(float(result.validation["value"]) for result in results) / len(results)


def samples_of(result: Result) -> int:
    """Returns the number of samples that trained, selected and were tested, or all of those of folds."""
    split = result.split
    return int(split["test"]) if "folds" in split else sum(int(split.get(side, 0)) for side in SIDES)


def recomputed_metrics(result: Result) -> dict[str, float]:
    """Returns the metrics that the scores of the test samples make; none where they are not those of the task."""
    scores = [np.array(score.scores) for score in result.scores]
    try:
        return task_of(result).metrics(scores)
    except (ValueError, IndexError):
        return {}


def require_unedited(result: Result, metric: str, recomputed: Mapping[str, float]) -> None:
    """Raises `ProbeError` where a metric is not what the scores of the test samples make it, or not in its interval."""
    stored, value = result.metrics[metric], recomputed.get(metric, math.nan)
    is_same = math.isclose(value, stored.value, rel_tol=1e-6, abs_tol=1e-9)
    if not (is_same and stored.low <= stored.value <= stored.high):
        raise ProbeError(
            f"{metric} of {result.task}, {result.run} on {result.point} is {stored.value:g} in its file, but the "
            f"scores of its test samples make {value:g}; the file was edited: remove it and run the study again"
        )


def bytes_of(cache: Cache, points: Sequence[str]) -> float:
    """Returns the bytes of a sample's features at these points together, the mean over samples."""
    total = 0.0
    for name in points:
        point = cache[name]
        grids = [point.grid_of(row) for row, sample in enumerate(cache.rows) if sample["status"] == "ok"]
        total += mean_tokens(grids) * point.shape[2] * point.dtype.itemsize
    return total


def mean_tokens(grids: Sequence[Grid]) -> float:
    """Returns the mean number of tokens.

    >>> mean_tokens([Grid(1, 2, 2), Grid(1, 2, 4)])
    6.0
    """
    return sum(grid.tokens for grid in grids) / len(grids)
