"""Criteria decided: each claim by the interval of its measure, or said to be open, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from foresight_cache.errors import ProbeError
from foresight_probes.results.metric_names import lower_is_better
from foresight_probes.results.pairs import compare_runs
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.derived_metrics import statistic_of
from foresight_probes.studies.evidence import Evidence, bytes_of
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.scores import score_reading
from foresight_probes.studies.study import Criterion, Measure
from foresight_probes.studies.thresholds import Threshold, about, samples_needed, widened

Status = Literal["met", "not met", "undecided", "not measured", "instrument unfit"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A point of a criterion with what is known there."""

    point: str
    reading: Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A threshold of a criterion, and whether it is met."""

    name: str
    """`<criterion>.<level>`."""
    title: str
    threshold: Threshold
    status: Status
    why: str
    """What decides it, or leaves it open, in words."""
    needs: float = 0.0
    """Samples in all that would decide it, where it is undecided."""

    @property
    def truth(self) -> bool | None:
        """True where it is met, False where it is not, None where it is open."""
        return {"met": True, "not met": False}.get(self.status)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A criterion with what was found."""

    name: str
    criterion: Criterion
    places: tuple[Place, ...]
    claims: tuple[Claim, ...]


def measured(evidence: Evidence, name: str, criterion: Criterion, recommended: str | None) -> Found:
    """Returns a criterion with the readings at its points, and its claims decided by them."""
    places = _places(evidence, criterion, recommended)
    higher = _higher_is_better(evidence, criterion)
    claims = tuple(
        decide(f"{name}.{level}", criterion, threshold, places, higher_is_better=higher)
        for level, threshold in criterion.levels.items()
    )
    return Found(name=name, criterion=criterion, places=places, claims=claims)


def decide(
    name: str,
    criterion: Criterion,
    threshold: Threshold,
    places: Sequence[Place],
    *,
    higher_is_better: bool | None,
) -> Claim:
    """Decides a claim at one point, or over several."""
    if not places:
        status, why, needs = _no_points(criterion)
    elif criterion.which == "one":
        status, why, needs = decide_at(threshold, places[0], higher_is_better=higher_is_better)
    else:
        status, why, needs = _decide_over(criterion.which, threshold, places, higher_is_better)
    return Claim(name=name, title=criterion.title, threshold=threshold, status=status, why=why, needs=needs)


Decided = tuple[Status, str, float]


def decide_at(threshold: Threshold, place: Place, *, higher_is_better: bool | None = None, tests: int = 1) -> Decided:
    """Returns the status of a threshold at a point, why, and how many samples would decide where it is open.

    Args:
        threshold: The side on which the value shall be.
        place: The point, with its reading.
        higher_is_better: What is good, for numbers that lie above no control; None where there is nothing good.
        tests: Points that are tried at once, any of which would do; the interval is widened for them.
    """
    reading, at = place.reading, place.point
    if reading.unfit:
        return "instrument unfit", f"{reading.unfit} ({at})", 0.0
    if reading.interval is None:
        return "not measured", f"{reading.reason} ({at})" if at else reading.reason, 0.0
    interval = widened(reading.interval, tests)
    shown = f"{format_value(reading.interval)} at {at}"
    decided = None if reading.too_few else threshold.decide(interval)
    if decided is None:
        needs = samples_needed(reading.samples, interval, threshold.value, groups=reading.groups, needed=reading.needed)
        few = f", {reading.groups:.0f} groups are too few" if reading.too_few else ""
        return "undecided", f"{shown} with {reading.samples:,} samples{few}; needs {about(needs)}", needs
    if decided == _is_good(threshold, higher_is_better) and reading.doubt:
        return "not measured", f"{shown} says nothing of the features: it is {reading.doubt}", 0.0
    return "met" if decided else "not met", shown, 0.0


def _is_good(threshold: Threshold, higher_is_better: bool | None) -> bool | None:
    """Returns whether it is good to be on this side of a threshold; None where nothing is good."""
    return None if higher_is_better is None else threshold.sign.startswith(">") == higher_is_better


def _decide_over(which: str, threshold: Threshold, places: Sequence[Place], higher_is_better: bool | None) -> Decided:
    """One point decides that a threshold holds for any of them, or not for all; so many are tried at once there."""
    plain = [decide_at(threshold, place, higher_is_better=higher_is_better) for place in places]
    strict = [decide_at(threshold, place, higher_is_better=higher_is_better, tests=len(places)) for place in places]
    single: Status = "met" if which == "any" else "not met"
    common: Status = "not met" if which == "any" else "met"
    decisive = [why for status, why, _ in strict if status == single]
    if decisive:
        return single, decisive[0] + (f" and {len(decisive) - 1} more points" if len(decisive) > 1 else ""), 0.0
    if all(status == common for status, _, _ in plain):
        return common, "; ".join(why for _, why, _ in plain), 0.0
    unknown: tuple[Status, ...] = ("instrument unfit", "not measured", "undecided")
    for status in unknown:
        open_ones = [(why, needs) for own, why, needs in plain if own == status]
        if open_ones:
            return status, "; ".join(why for why, _ in open_ones), max(needs for _, needs in open_ones)
    return "undecided", "decided at single points, but not at so many at once", max(n for _, _, n in strict)


def _no_points(criterion: Criterion) -> Decided:
    return "not measured", f"no cache has a point of {', '.join(criterion.points)}", 0.0


def _places(evidence: Evidence, criterion: Criterion, recommended: str | None) -> tuple[Place, ...]:
    """Returns the points of a criterion with their readings; a named one that is not cached with the reason."""
    own = evidence.study.measures.get(criterion.measure)
    if own is not None and own.is_bytes:
        return (_bytes(evidence, criterion),)
    if own is not None and own.diverged:
        return (_diverged(evidence, criterion, own),)
    if criterion.points == ("recommended",):
        if recommended is None:
            return (Place(point="", reading=Reading(reason="no point could be recommended")),)
        return (Place(point=recommended, reading=read(evidence, criterion.measure, recommended)),)
    points = evidence.points(criterion.points, criterion.measure)
    if criterion.which == "one" and len(points) != 1:
        return (Place(point=criterion.points[0], reading=Reading(reason=_why_no_point(evidence, criterion))),)
    if criterion.against:
        return (_difference(evidence, criterion, points[0]),)
    lacking = evidence.lacking(criterion.points, criterion.measure) if criterion.which != "one" else ()
    return (
        *(Place(point=point, reading=read(evidence, criterion.measure, point)) for point in points),
        *(Place(point=point, reading=Reading(reason="the cache lacks this point")) for point in lacking),
    )


def _why_no_point(evidence: Evidence, criterion: Criterion) -> str:
    study = evidence.study
    own = study.measures.get(criterion.measure) or study.measures[study.scores[criterion.measure].terms[0].measure]
    if evidence.cache_of(criterion.measure) is None:
        return evidence.why_missing(own, criterion.points[0])
    return "the cache lacks this point"


def read(evidence: Evidence, measure: str, point: str) -> Reading:
    """Returns the reading of a measure or a score."""
    if measure not in evidence.study.scores:
        return evidence.reading(measure, point)
    if (measure, point) not in evidence.readings:
        evidence.readings[measure, point] = score_reading(evidence, evidence.study.scores[measure], point)
    return evidence.readings[measure, point]


def _difference(evidence: Evidence, criterion: Criterion, point: str) -> Place:
    """Returns how much greater a metric is at a point than at another, on the same samples and resamples."""
    others = evidence.points(criterion.against, criterion.measure)
    if len(others) != 1:
        return Place(point=point, reading=Reading(reason=f"the cache lacks the point {criterion.against[0]}"))
    name = f"{point} less {others[0]}"
    first, second = (evidence.reading(criterion.measure, own) for own in (point, others[0]))
    for own in (first, second):
        if own.interval is None:
            return Place(point=name, reading=own)
    metric = evidence.study.measures[criterion.measure].metric
    try:
        statistic = statistic_of(first.results, metric)
        found = compare_runs(first.results, second.results, metric=metric, statistic=statistic)
    except ProbeError as error:
        return Place(point=name, reading=Reading(reason=str(error)))
    if found is None:
        return Place(point=name, reading=Reading(reason=f"{metric} is not defined at both points"))
    reading = Reading(
        interval=found.difference,
        caution=first.caution,
        results=(*first.results, *second.results),
        samples=min(first.samples, second.samples),
        groups=found.groups,
        needed=found.needed,
    )
    return Place(point=name, reading=reading)


def _bytes(evidence: Evidence, criterion: Criterion) -> Place:
    """Returns the bytes of features at some points over those at others; they are counted, so they are certain."""
    name = f"{' and '.join(criterion.points)} over {' and '.join(criterion.against)}"
    cache = evidence.cache_of(criterion.measure)
    if cache is None:
        return Place(point=name, reading=Reading(reason="there is no cache"))
    parts = [evidence.points(texts, criterion.measure) for texts in (criterion.points, criterion.against)]
    wanted = [len(texts) for texts in (criterion.points, criterion.against)]
    if [len(part) for part in parts] != wanted:
        return Place(point=name, reading=Reading(reason="the cache lacks some of these points"))
    first, second = (bytes_of(cache, part) for part in parts)
    ratio = first / second
    return Place(point=name, reading=Reading(interval=Interval(ratio, ratio, ratio), samples=len(cache)))


def _diverged(evidence: Evidence, criterion: Criterion, own: Measure) -> Place:
    """Returns how many runs diverge at some points; they are counted, so the number is certain."""
    points = set(evidence.points(criterion.points, criterion.measure))
    finished = [result for result in evidence.results.get(own.runs, ()) if result.point in points]
    lost = sum(number for point, number in evidence.diverged.get(own.runs, {}).items() if point in points)
    if not finished and not lost:
        return Place(point="", reading=Reading(reason=evidence.missing.get(own.runs) or "no run of these points"))
    unsettled = sum(result.validation.get("converged") is False for result in finished)
    more = f", where {unsettled} more had not converged when training ended" if unsettled else ""
    name = f"{len(finished) + lost} runs of {own.runs}{more}"
    return Place(point=name, reading=Reading(interval=Interval(lost, lost, lost), samples=len(finished) + lost))


def _higher_is_better(evidence: Evidence, criterion: Criterion) -> bool | None:
    own = evidence.study.measures.get(criterion.measure)
    if own is None:
        return True
    return None if not own.metric or criterion.against else not lower_is_better(own.metric)


def format_value(interval: Interval) -> str:
    """Returns a value with its interval, or alone where it is certain.

    >>> format_value(Interval(0.5, 0.4, 0.6)), format_value(Interval(2.0, 2.0, 2.0))
    ('0.500 (0.400–0.600)', '2.000')
    """
    if interval.low == interval.high:
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"
