"""Comparison of two numbers that were measured on the same samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import Statistic, point_estimate
from foresight_probes.statistics.bootstrap import difference_of, is_halved, resampled
from foresight_probes.statistics.groups import effective_groups, fewest
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.refitting import counted
from foresight_probes.statistics.scales import deviation

LEVEL = 0.05
"""Level of the tests, after adjustment for their number."""
PERMUTATIONS = 2000
POWER = 0.8
"""Probability with which the minimum detectable difference would be found."""
RANKED = ("auroc", "auprc", "map_")
"""Metrics, or beginnings of their names, that compare the answers to different samples with each other. Those of one
run cannot take the place of another's, whose scale may be different, so that nothing is permuted."""
_BLOCK = 2**18


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedComparison:
    """How much greater a metric is by the first of two scores than by the second."""

    difference: Interval
    """With its confidence interval."""
    p_value: float
    """Two-sided p-value of no difference."""
    test: str
    """How it was found: `permutation` of the two within groups, or `bootstrap`, with `refits` and `seeds` where these
    are counted."""
    error: float
    """Standard error of the difference."""
    freedom: float
    """Degrees of freedom of the error."""
    detectable: float
    """Least difference that would be found with probability `POWER` at `LEVEL` over the number of tests; infinite where
    there is one group."""
    groups: float
    """Effective number of groups."""
    needed: float
    """Effective groups that a verdict needs."""
    undefined: int
    """Resamples for which the metric is not defined, and which were left out."""

    @property
    def too_few(self) -> bool:
        """True where there are too few groups for a verdict."""
        return self.groups < self.needed


def compare_pair(
    first: Scores,
    second: Scores,
    groups: Sequence[str],
    statistic: Statistic,
    metric: str,
    *,
    resamples: int = 1000,
    permutations: int = PERMUTATIONS,
    confidence: float = 0.95,
    tests: int = 1,
    seed: int = 0,
    refits: Sequence[float] = (),
) -> PairedComparison | None:
    """Compares a metric of two scores of the same samples in the same order.

    The interval is Student's, with the standard error of a bootstrap of whole groups. The p-value is that of
    permutations, in each of which the two change places in half of the groups (Good, "Permutation, Parametric and
    Bootstrap Tests of Hypotheses", 2005, section 3.3), or Student's for `RANKED` metrics, with refits, and without
    permutations. None where the metric is not defined for one of the two.

    Args:
        first: Scores of S samples, as the task gives them.
        second: The same of another run.
        groups: Group of each.
        statistic: Metrics of the task on resamples.
        metric: Name of one of them.
        resamples: Resamples behind the interval.
        permutations: Permutations behind the p-value.
        confidence: Confidence of the interval.
        tests: Tests that are made at once, for the minimum detectable difference.
        seed: Decides the draws.
        refits: Differences between the two, each found again without a part of the training samples, whose variance
            is then counted (`refitting.counted`).
    """
    difference = difference_of(first, second, statistic, metric)
    value = point_estimate(difference, first).get(metric)
    if value is None:
        return None
    drawn = resampled(first, groups, difference, resamples=resamples, seed=seed, halves=is_halved(metric))[metric]
    effective = effective_groups(groups)
    draws, worth = counted(drawn, effective, refits, seed=seed)
    error = deviation(draws, worth) if worth > 1 and len(draws) else 0.0
    freedom = max(worth - 1, 1)
    half = error * float(stats.t.ppf((1 + confidence) / 2, freedom))
    is_permuted = permutations > 0 and not metric.startswith(RANKED) and len(refits) < 2
    p_value = _student(value, error, freedom)
    if is_permuted:
        p_value = _permutation(first, second, groups, statistic, metric, abs(value), permutations, seed)
    return PairedComparison(
        difference=Interval(value, value - half, value + half),
        p_value=p_value if effective > 1 else 1.0,
        test="permutation" if is_permuted else "bootstrap and refits" if len(refits) > 1 else "bootstrap",
        error=error,
        freedom=freedom,
        detectable=_detectable(error, freedom, tests) if effective > 1 else math.inf,
        groups=effective,
        needed=fewest(metric),
        undefined=resamples - len(drawn),
    )


def _detectable(error: float, freedom: float, tests: int) -> float:
    """Returns the difference that is found with probability `POWER` in the first step of Holm's method."""
    return error * float(stats.t.ppf(1 - LEVEL / tests / 2, freedom) + stats.norm.ppf(POWER))


def _student(value: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stats.t.sf(abs(value) / error, freedom))


def _permutation(
    first: Scores,
    second: Scores,
    groups: Sequence[str],
    statistic: Statistic,
    metric: str,
    found: float,
    permutations: int,
    seed: int,
) -> float:
    """Returns the share of permutations with a larger difference than the one that was found, that one among them.

    Those with an equal one count half, or a metric of few different values would be found too seldom (Lancaster,
    "Significance Tests in Discrete Distributions", JASA 1961).
    """
    if found == 0:
        return 1.0
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    group_of = np.array([numbers[group] for group in groups])
    both = _joined(first, second)
    generator = np.random.default_rng([seed, 1])
    as_large, block, rounding = 0.0, max(1, _BLOCK // len(groups)), 1e-12 * max(1.0, found)
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        swapped_RS = generator.integers(2, size=(size, len(numbers)))[:, group_of]
        values = [
            statistic(both, np.concatenate(counts, axis=1))[metric]
            for counts in ((1 - swapped_RS, swapped_RS), (swapped_RS, 1 - swapped_RS))
        ]
        beyond = np.abs(values[0] - values[1]) - found
        as_large += float(((beyond > rounding).sum() + (beyond >= -rounding).sum()) / 2)
    return (1 + as_large) / (1 + permutations)


def _joined(first: Scores, second: Scores) -> Scores:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray) and first.shape[1:] == second.shape[1:]:
        return np.concatenate([first, second])
    return [*first, *second]


def with_seeds(
    comparisons: Sequence[PairedComparison], *, confidence: float = 0.95, tests: int = 1
) -> PairedComparison:
    """Returns one comparison of runs from several seeds, as a random effect.

    Seeds of closed forms divide training and validation anew; those of trained heads are their first weights.

    The variance of the mean difference is that of the test samples, which all seeds share, and that of the differences
    between seeds over their number; Student's quantile has Satterthwaite's degrees of freedom ("An Approximate
    Distribution of Estimates of Variance Components", Biometrics 1946). One comparison stays as it is.
    """
    if len(comparisons) == 1:
        return comparisons[0]
    values = np.array([own.difference.value for own in comparisons])
    freedom = comparisons[0].freedom
    of_test = float(np.mean([own.error**2 for own in comparisons]))
    of_seeds = float(values.var(ddof=1)) / len(values)
    total, mean = of_test + of_seeds, float(values.mean())
    if total == 0:
        return comparisons[0]
    pooled = total**2 / (of_test**2 / freedom + of_seeds**2 / (len(values) - 1))
    error, quantile = math.sqrt(total), float(stats.t.ppf((1 + confidence) / 2, pooled))
    return PairedComparison(
        difference=Interval(mean, mean - quantile * error, mean + quantile * error),
        p_value=_student(mean, error, pooled),
        test="bootstrap, refits and seeds" if "refits" in comparisons[0].test else "bootstrap and seeds",
        error=error,
        freedom=pooled,
        detectable=_detectable(error, pooled, tests),
        groups=comparisons[0].groups,
        needed=comparisons[0].needed,
        undefined=sum(own.undefined for own in comparisons),
    )
