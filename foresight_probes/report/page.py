"""The model of a report: its page and sections, before they are written as HTML or Markdown."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_probes.calibration.state import CalibrationState, calibration_of
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.comparable import require_comparable
from foresight_probes.results.result import Result, best_of_grids
from foresight_probes.statistics.interval import Interval, over_seeds
from foresight_probes.statistics.paired import LEVEL

RANDOM_WEIGHTS = (
    "The weights of this model are random: it has the real architecture and was never trained. The numbers show "
    "that extraction, probes and report work together; they say nothing about a trained model."
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """The results of one task."""

    task: str
    primary: str
    """Name of the metric that is drawn."""
    results: tuple[Result, ...]
    """Results in the order of computation, without the mean predictor."""
    constant: tuple[Result, ...]
    """Results of the mean predictor, one for each seed."""

    @property
    def points(self) -> tuple[str, ...]:
        """Points in the order of computation, without `pixels`."""
        return tuple(dict.fromkeys(result.point for result in self.results if result.point != PIXELS))

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads in alphabetical order."""
        return tuple(sorted({result.head for result in self.results}))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that any result has, in their order; one may not be defined for another."""
        return tuple(dict.fromkeys(name for result in (*self.results, *self.constant) for name in result.metrics))

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the controls that stand beside any result, in alphabetical order."""
        return tuple(sorted({name for result in self.results for name in result.controls}))

    @cached_property
    def calibration(self) -> dict[str, CalibrationState]:
        """State of the calibration of each head for the task, with the options of the results."""
        options = {result.head: TrainingOptions(**result.options) for result in self.results}
        return {head: calibration_of(self.task, head, options[head]) for head in self.heads}

    def doubt_of(self, result: Result) -> str:
        """Returns why a result's number says nothing: its instrument is unfit, or a control does not lie below it."""
        state = self.calibration.get(result.head)
        return f"of an instrument that is {state.reason}" if state and state.calibrated == "unfit" else result.doubt

    def doubt(self, point: str, head: str) -> str:
        """Returns why a number says nothing, of the first seed; empty where a seed has one that says something."""
        doubts = [self.doubt_of(result) for result in self.results if (result.point, result.head) == (point, head)]
        return doubts[0] if doubts and all(doubts) else ""

    @property
    def best(self) -> Result | None:
        """Result that the validation split chooses among the points of the model; the test split is for reporting."""
        inside = [result for result in self.results if result.point != PIXELS]
        return max(inside, key=lambda result: result.validation["value"], default=None)

    @property
    def luck(self) -> str:
        """Warning that among so many numbers the best one would be as good by chance; empty where it would not.

        The p-value of its difference from the mean predictor times the number of tries (Bonferroni).
        """
        tries = sum(result.point != PIXELS for result in self.results)
        control = self.best.controls.get(MEAN_PREDICTOR) if self.best else None
        if self.best is None or control is None or control.difference is None or self.best.too_few:
            return ""
        difference, normal = control.difference, statistics.NormalDist()
        quantile = normal.inv_cdf((1 + self.best.options.get("confidence", 0.95)) / 2)
        error = (difference.high - difference.low) / 2 / quantile
        by_chance = tries * (1 - normal.cdf(difference.value / error)) if error > 0 else 0.0
        if by_chance <= LEVEL:
            return ""
        return (
            f"That is no surprise: among {tries} numbers one as far above the mean predictor comes by chance alone in "
            f"{min(1.0, by_chance):.0%} of cases."
        )

    def at(self, point: str, head: str) -> Interval | None:
        """Returns the metric over all seeds: their mean, from the lowest to the highest end of their intervals."""
        return over_seeds([result.value for result in self.results if (result.point, result.head) == (point, head)])

    @property
    def chance(self) -> Interval | None:
        """Metric of the mean predictor over all seeds."""
        return over_seeds([result.value for result in self.constant])


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The content of a report."""

    sections: tuple[Section, ...]
    cache: Mapping[str, Any]
    """Provenance as in `Result.cache`."""
    notice: str | None
    """Sentence that a reader must know before any number; None where there is none."""
    versions: Mapping[str, str]
    """Versions of the libraries that made the results."""

    @property
    def model(self) -> dict[str, Any]:
        """Facts about the model that fit on a line."""
        described = {"name": "a model without a name", **self.cache.get("model", {})}
        return {name: value for name, value in described.items() if isinstance(value, str | int | float)}


def page(results: Sequence[Result]) -> Page:
    """Makes the page of some results.

    Raises `ProbeError` where results are from several caches, or a task's from several splits or recipes.
    """
    _require_one(results, "cache", lambda result: result.cache.get("digest"))
    require_comparable(results)
    by_task: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_task[result.task].append(result)
    first = results[0]
    return Page(
        sections=tuple(_section(task, best_of_grids(of_task)) for task, of_task in by_task.items()),
        cache=first.cache,
        notice=notice_of(first),
        versions={name: value for result in results for name, value in result.versions.items()},
    )


def notice_of(result: Result) -> str | None:
    """Returns the sentence that a reader must know before any number of a result; None where there is none."""
    return RANDOM_WEIGHTS if result.cache.get("model", {}).get("weights") == "random" else None


def samples_noun(cache: Mapping[str, Any]) -> str:
    """Returns the plural for the samples of a result's `cache`: images or clips, where it says.

    >>> samples_noun({"media": "clip"}), samples_noun({})
    ('clips', 'samples')
    """
    return {"image": "images", "clip": "clips"}.get(cache.get("media", ""), "samples")


def _section(task: str, results: Sequence[Result]) -> Section:
    return Section(
        task=task,
        primary=results[0].primary,
        results=tuple(result for result in results if result.point != MEAN_PREDICTOR),
        constant=tuple(result for result in results if result.point == MEAN_PREDICTOR),
    )


def _require_one(results: Sequence[Result], what: str, key: Any) -> None:
    values = sorted({str(key(result)) for result in results})
    if len(values) > 1:
        shown = ", ".join(value[:12] for value in values)
        raise ProbeError(f"these results belong to more than one {what} ({shown}); keep each in its own folder")
