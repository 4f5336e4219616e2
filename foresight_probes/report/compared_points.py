"""The comparison of points under one task: differences with intervals, and the sentence that follows from them."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError, UnknownName
from foresight_cache.points import PIXELS
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.report.two_folders import Pairing, group_folder, pairing_of
from foresight_probes.results.metric_names import label, lower_is_better
from foresight_probes.results.pairs import compare_runs, overlap_of
from foresight_probes.results.point_aliases import meant
from foresight_probes.results.result import Result, best_of_grids, format_interval, load_results
from foresight_probes.splits import SIDES
from foresight_probes.statistics.groups import fewest
from foresight_probes.statistics.interval import Interval, over_seeds
from foresight_probes.statistics.multiplicity import benjamini_hochberg, holm
from foresight_probes.statistics.paired import LEVEL, PairedComparison


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedPoint:
    """A point beside the one that it is compared with."""

    name: str
    value: Interval
    """Its metric."""
    comparison: PairedComparison
    """How much greater the metric is there."""
    holm: float = 1.0
    """P-value, adjusted so that any false finding among all points is as rare as the level says."""
    benjamini_hochberg: float = 1.0
    """P-value, adjusted so that the share of false findings is as small."""

    @property
    def differs(self) -> bool:
        """True where the difference is found, with enough groups for a verdict."""
        return self.holm <= LEVEL and not self.comparison.too_few


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Points compared with one of them, or with themselves in another folder of runs."""

    task: str
    head: str
    metric: str
    against: str
    """Name of what points are compared with."""
    reference: Interval | None
    """The metric there; None where each point is compared with itself."""
    points: tuple[ComparedPoint, ...]
    samples: int
    """Test samples, of two folders those that both have."""
    seeds: int
    dropped: tuple[str, ...]
    """Points for which the metric is not defined, or which the other folder does not have."""
    lower_is_better: bool
    result: Result
    """One of the results, for where they come from."""
    pairing: Pairing | None = None
    """Of two folders what is paired; None of points of one."""

    @property
    def groups(self) -> float:
        """Effective number of groups of the test samples."""
        return self.points[0].comparison.groups

    @property
    def detectable(self) -> float:
        """Largest of the minimum detectable differences, of points where none is found if there are any."""
        missed = [point for point in self.points if not point.differs] or self.points
        return max(point.comparison.detectable for point in missed)

    @property
    def sentence(self) -> str:
        """What follows from the tests, in words."""
        limits = "the answers are the same" if self.detectable == 0 else _limit(self.detectable)
        if self.points[0].comparison.too_few:
            return (
                f"Undecided: the {self.samples} test samples are worth {self.groups:.0f} groups, and a verdict needs "
                f"about {fewest(self.metric):.0f}, as of about {self._samples_needed} samples in all; here {limits}."
            )
        parts = [self._found("more", 1), self._found("less", -1)]
        open_points = [point.name for point in self.points if not point.differs]
        if open_points:
            parts.append(f"no difference from {self.against} is found at {', '.join(open_points)}: {limits}")
        return f"{'; '.join(part for part in parts if part)}."

    @property
    def remark(self) -> str:
        """What the intervals do not count, in words; empty where they count refitting."""
        if all("refits" in point.comparison.test for point in self.points):
            return ""
        return "Heads are taken as they are; what other training samples would change is counted with --refits 10."

    @property
    def _samples_needed(self) -> int:
        """Samples that would have enough test groups if they were divided as these are, to two digits."""
        split = self.result.split
        count = self.samples if "folds" in split else sum(split.get(side, 0) for side in SIDES)
        needed = count * fewest(self.metric) / self.groups
        unit = 10.0 ** max(0, math.floor(math.log10(needed)) - 1)
        return round(math.ceil(needed / unit) * unit)

    def _found(self, word: str, sign: int) -> str:
        found = [own for own in self.points if own.differs and own.comparison.difference.value * sign > 0]
        if not found:
            return ""
        sizes = [abs(own.comparison.difference.value) for own in found]
        names, verb = ", ".join(own.name for own in found), "reads" if len(found) == 1 else "read"
        span = f"{sizes[0]:.3f}" if len(found) == 1 else f"{min(sizes):.3f} to {max(sizes):.3f}"
        largest = format_p(max(own.holm for own in found))
        return f"{names} {verb} {span} {word} {label(self.metric)} than {self.against} (Holm: p {largest})"

    def rows(self) -> list[dict[str, Any]]:
        """Returns a table of plain numbers and texts, a row for each point."""
        return [
            {
                **{"task": self.task, "head": self.head, "metric": self.metric, "point": own.name},
                **{"value": own.value.value, "low": own.value.low, "high": own.value.high},
                "against": self.against,
                "difference": own.comparison.difference.value,
                "difference_low": own.comparison.difference.low,
                "difference_high": own.comparison.difference.high,
                **{"p_value": own.comparison.p_value, "test": own.comparison.test},
                **{"holm": own.holm, "benjamini_hochberg": own.benjamini_hochberg},
                "detectable": own.comparison.detectable,
                **{"samples": self.samples, "groups": own.comparison.groups, "seeds": self.seeds},
                "undefined_resamples": own.comparison.undefined,
                "too_few_groups": own.comparison.too_few,
                "differs": own.differs,
            }
            for own in self.points
        ]


def compare_points(
    runs: Path,
    task: str,
    *,
    other: Path | None = None,
    across: bool = False,
    head: str | None = None,
    metric: str | None = None,
    against: str | None = None,
    remark: Callable[[str], None] = warnings.warn,
) -> Comparison:
    """Compares all points of a folder of runs with one of them, or with the same points of another folder.

    Args:
        runs: Folder that `train-probe` or `study` wrote.
        task: Name of a task that it has results of.
        other: Another such folder; each point is compared with itself there, on the test samples that both have.
        across: Whether its cache may have another fingerprint.
        head: Name of a head; None for that which validation chooses.
        metric: A metric of the task; None for the first.
        against: Name or alias of the point to compare with; None for that which validation chooses.
        remark: Is told what is left out.

    Raises: `ProbeError` where results are missing, or may not be compared; `UnknownName` for a name that none has.
    """
    runs = group_folder(runs, task)
    results = _of_task(load_results(runs, remark=remark), task, runs)
    chosen = _best(results) if head is None else head
    own = _by_point(results, chosen)
    metric = results[0].primary if metric is None else metric
    measured = dict.fromkeys(name for result in results for name in result.metrics)
    if metric not in measured:
        raise UnknownName("metric", metric, measured)
    if other is not None:
        other = group_folder(other, task)
        beside = _by_point(_of_task(load_results(other, remark=remark), task, other), chosen)
        pairing = pairing_of(own, beside, (runs, other), across=across)
        return replace(_finished(own, beside, metric, str(other)), pairing=pairing)
    reference = _best_point(own) if against is None else meant(against, results)
    if reference not in own:
        raise UnknownName("point", reference, own)
    if len(own) < 2:
        raise ProbeError(
            f"{runs} has results of {chosen} for {task} on {reference} alone; a comparison needs two points"
        )
    return _finished(
        {name: found for name, found in own.items() if name != reference}, own[reference], metric, reference
    )


def _of_task(results: Sequence[Result], task: str, runs: Path) -> list[Result]:
    own = [result for result in results if result.task == task and result.point != MEAN_PREDICTOR]
    if not own and any(result.task == task for result in results):
        raise ProbeError(f"{runs} has the mean predictor alone for {task}; train its points first")
    if not own:
        raise UnknownName("task", task, dict.fromkeys(result.task for result in results))
    if len({result.cache.get("digest") for result in own}) > 1:
        raise ProbeError(f"{runs} has results of several caches for {task}; keep each in its own folder and name both")
    return best_of_grids(own)


def _by_point(results: Sequence[Result], head: str) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        if result.head == head:
            found.setdefault(result.point, []).append(result)
    if not found:
        raise UnknownName("head", head, dict.fromkeys(result.head for result in results))
    return found


def _best(results: Sequence[Result]) -> str:
    inside = [result for result in results if result.point != PIXELS] or list(results)
    return max(inside, key=lambda result: float(result.validation["value"])).head


def _best_point(by_point: dict[str, list[Result]]) -> str:
    inside = [name for name in by_point if name != PIXELS] or list(by_point)
    return max(inside, key=lambda name: sum(own.validation["value"] for own in by_point[name]) / len(by_point[name]))


def _finished(
    own: Mapping[str, list[Result]], other: Mapping[str, list[Result]] | list[Result], metric: str, against: str
) -> Comparison:
    """Compares the seeds that all have, and adjusts the p-values for the number of points."""
    beside = other if isinstance(other, Mapping) else dict.fromkeys(own, other)
    pairs = {name: (results, beside[name]) for name, results in own.items() if name in beside}
    if not pairs:
        raise ProbeError(f"no point of {', '.join(own)} has results at {against}, so that there is nothing to compare")
    seeds = set.intersection(*({result.seed for result in results} for pair in pairs.values() for results in pair))
    confidence = float(next(iter(own.values()))[0].options.get("confidence", 0.95))
    points, dropped = list[ComparedPoint](), [name for name in own if name not in beside]
    for name, pair in pairs.items():
        first, second = ([result for result in results if result.seed in seeds or not seeds] for results in pair)
        comparison = compare_runs(
            first, second, metric=metric, confidence=confidence, tests=len(pairs), by_id=isinstance(other, Mapping)
        )
        value = _over_seeds(first, metric)
        if comparison is None or value is None:
            dropped.append(name)
        else:
            points.append(ComparedPoint(name=name, value=value, comparison=comparison))
    if not points:
        raise ProbeError(f"no point has a {metric} here and at {against}, so that there is nothing to compare")
    p_values = [point.comparison.p_value for point in points]
    first_result = next(iter(own.values()))[0]
    return Comparison(
        task=first_result.task,
        head=first_result.head,
        metric=metric,
        against=against,
        reference=None if isinstance(other, Mapping) else _over_seeds([r for r in other if r.seed in seeds], metric),
        points=tuple(
            replace(point, holm=one, benjamini_hochberg=rate)
            for point, one, rate in zip(points, holm(p_values), benjamini_hochberg(p_values), strict=True)
        ),
        samples=_samples_of(next(iter(pairs.values()))),
        seeds=len(seeds),
        dropped=tuple(dropped),
        lower_is_better=lower_is_better(metric),
        result=first_result,
    )


def _samples_of(pair: tuple[Sequence[Result], Sequence[Result]]) -> int:
    first, second = pair
    return overlap_of(first[0], second[0]).shared


def _over_seeds(results: Sequence[Result], metric: str) -> Interval | None:
    return over_seeds([result.metrics[metric] for result in results if metric in result.metrics])


def _limit(detectable: float) -> str:
    if math.isinf(detectable):
        return "no difference could be found"
    return f"a difference below {detectable:.3f} would be found in fewer than four of five such tests"


def shown(point: ComparedPoint) -> str:
    """Returns a difference with its sign and its interval."""
    difference = point.comparison.difference
    return f"{'+' if difference.value >= 0 else ''}{format_interval(difference)}"


def format_p(value: float) -> str:
    """Returns a p-value with its sign of equality.

    >>> format_p(0.04213), format_p(2e-9)
    ('= 0.042', '< 0.001')
    """
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
