"""The bootstrap against a hand case, scipy, and what grouping must do."""

import numpy as np
import pytest
import scipy.stats

from foresight_probes.metrics import Scores
from foresight_probes.statistics.bootstrap import bootstrap, resampled
from foresight_probes.statistics.interval import Interval


def mean(scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
    """One sample after the other."""
    values = [float(each[0]) for each in scores]
    drawn = [[value for value, times in zip(values, row, strict=True) for _ in range(times)] for row in counts]
    return {"mean": np.array([sum(some) / len(some) for some in drawn])}


def test_by_hand() -> None:
    """Two groups of one sample, 0 and 1: a resample is 00, 01, 10 or 11, so a quarter of the means are 0."""
    scores = [np.array([0.0]), np.array([1.0])]
    assert bootstrap(scores, ["a", "b"], mean, confidence=0.95)["mean"] == Interval(0.5, 0.0, 1.0)
    drawn = resampled(scores, ["a", "b"], mean, resamples=4000)["mean"]
    assert [(drawn == value).mean() for value in (0.0, 0.5, 1.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_a_group_alone_has_no_interval() -> None:
    scores = [np.array([0.0]), np.array([1.0])]
    assert bootstrap(scores, ["a", "a"], mean)["mean"] == Interval(0.5, 0.5, 0.5)


def test_against_scipy() -> None:
    values = np.random.default_rng(0).beta(2, 5, size=200)
    ours = bootstrap([np.array([v]) for v in values], [str(k) for k in range(200)], mean, resamples=4000)["mean"]
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)
    assert ours.value == pytest.approx(values.mean())


def test_groups_are_resampled_whole() -> None:
    """Ten copies of a sample in one group are worth one sample: the interval is as wide as without the copies."""
    values = np.random.default_rng(0).normal(size=30)
    single = bootstrap([np.array([v]) for v in values], [str(k) for k in range(30)], mean)["mean"]
    copies = [np.array([v]) for v in values for _ in range(10)]
    grouped = bootstrap(copies, [str(k // 10) for k in range(300)], mean)["mean"]
    fooled = bootstrap(copies, [str(k) for k in range(300)], mean)["mean"]
    assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high))
    assert fooled.high - fooled.low < 0.5 * (grouped.high - grouped.low)


def test_groups_of_many_sizes_by_hand() -> None:
    """Every resample is drawn here once more, one sample after the other; a matrix and a list give the same."""
    generator = np.random.default_rng(0)
    values, groups = generator.normal(size=(40, 1)), [f"group {k}" for k in generator.integers(12, size=40)]
    known = list(dict.fromkeys(groups))
    expected = []
    drawing = np.random.default_rng(7)
    for _ in range(50):
        picked = [known[pick] for pick in drawing.integers(len(known), size=len(known))]
        expected.append(float(np.mean([values[k] for name in picked for k in range(40) if groups[k] == name])))
    for scores in (values, list(values)):
        np.testing.assert_allclose(resampled(scores, groups, mean, resamples=50, seed=7)["mean"], expected, rtol=1e-12)


def test_the_seed_decides() -> None:
    scores = [np.array([v]) for v in np.random.default_rng(0).normal(size=20)]
    groups = [str(k) for k in range(20)]
    assert bootstrap(scores, groups, mean, seed=3) == bootstrap(scores, groups, mean, seed=3)
    assert bootstrap(scores, groups, mean, seed=3) != bootstrap(scores, groups, mean, seed=4)


def test_halves_are_spread_as_the_mean_is() -> None:
    """Each half is followed by the other one; their variance is that of the mean, Σ (x - mean)² / (n - 1) / n."""
    values = np.random.default_rng(0).normal(size=40)
    scores, groups = [np.array([v]) for v in np.repeat(values, 2)], [str(k // 2) for k in range(80)]
    drawn = resampled(scores, groups, mean, resamples=3000, halves=True)["mean"]
    assert (drawn[::2] + drawn[1::2]) / 2 == pytest.approx(values.mean())
    assert drawn.std() == pytest.approx(values.std(ddof=1) / 40**0.5, rel=0.04)
    assert len(resampled(scores[:6], groups[:6], mean, resamples=7, halves=True)["mean"]) == 7


@pytest.mark.parametrize(("metric", "most"), [("map_0.5", 1), ("auprc", 3)])
def test_of_map_halves_are_drawn(metric: str, most: int) -> None:
    seen = []

    def statistic(scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(counts)
        return {metric: mean(scores, counts)["mean"]}

    bootstrap([np.array([v]) for v in np.linspace(0.1, 0.9, 20)], [str(k) for k in range(20)], statistic, resamples=50)
    assert (seen[1].max() > 1) == (most > 1)
    assert set(seen[1].sum(1)) == ({10} if most == 1 else {20})
