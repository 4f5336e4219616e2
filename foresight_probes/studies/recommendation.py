"""The point that is recommended: validation chooses it, and test samples tell how sure that choice is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from foresight_cache.errors import ProbeError
from foresight_probes.results.pairs import compare_runs
from foresight_probes.studies.evidence import Evidence, validation_value
from foresight_probes.studies.reading import Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommended:
    """A point with how likely others are better."""

    point: str
    measure: str
    reading: Reading
    better: Mapping[str, float]
    """Probability that each other point is better, where that can be told."""
    second: str
    """Point that validation would choose next; empty where there is none."""

    @property
    def doubt(self) -> float:
        """Largest of these probabilities, 0 where there is no other point."""
        return max(self.better.values(), default=0.0)


def recommend(evidence: Evidence) -> Recommended | None:
    """Returns the point that is best on validation, where all have the same heads and seeds; None where there is none.

    The probability that another is better is that of a positive difference, normal about the one on the test samples
    with the standard error of paired resamples, and Student's degrees of freedom (flat prior).
    """
    wanted = evidence.study.recommendation
    if wanted is None:
        return None
    readings = {
        point: evidence.reading(wanted.measure, point) for point in evidence.points(wanted.points, wanted.measure)
    }
    known = {point: own for point, own in readings.items() if own.interval is not None}
    if not known:
        return None
    first, *others = sorted(known, key=lambda point: -validation_value(known[point].results))
    metric = evidence.study.measures[wanted.measure].metric
    better = {point: _better(known[point], known[first], metric) for point in others}
    return Recommended(
        point=first,
        measure=wanted.measure,
        reading=known[first],
        better={point: share for point, share in better.items() if not math.isnan(share)},
        second=others[0] if others else "",
    )


def _better(one: Reading, other: Reading, metric: str) -> float:
    """Returns the probability that a metric is higher at one point than at the other; NaN where nothing tells."""
    try:
        found = compare_runs(one.results, other.results, metric=metric)
    except ProbeError:
        return math.nan
    if found is None:
        return math.nan
    if found.error == 0:
        return 0.5 if found.difference.value == 0 else float(found.difference.value > 0)
    return float(stats.t.cdf(found.difference.value / found.error, found.freedom))
