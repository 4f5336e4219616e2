"""Paired comparisons against scipy, and by how often they are wrong where nothing is different."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from foresight_probes.metrics import Scores
from foresight_probes.metrics.classification_metrics import binary_summary, class_summary
from foresight_probes.metrics.resamples import mean
from foresight_probes.statistics.multiplicity import benjamini_hochberg, holm
from foresight_probes.statistics.paired import PairedComparison, compare_pair, with_seeds


def average(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    return {"mean": mean(np.asarray(scores)[:, 0], counts_RS)}


def compared(
    first: np.ndarray, second: np.ndarray, groups: list[str] | None = None, **options: Any
) -> PairedComparison:
    names = [str(number) for number in range(len(first))] if groups is None else groups
    found = compare_pair(first[:, None], second[:, None], names, average, "mean", **options)
    assert found is not None
    return found


def test_single_samples_against_scipy() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.2, 1, 80), generator.normal(0, 1, 80)
    found = compared(first, second, resamples=8000, permutations=8000)
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval()
    assert found.difference.value == pytest.approx((first - second).mean())
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high), abs=0.01)
    permuted = stats.permutation_test(
        (first, second), lambda a, b: (a - b).mean(), permutation_type="samples", n_resamples=8000, rng=generator
    )
    assert found.test == "permutation"
    assert found.p_value == pytest.approx(permuted.pvalue, abs=0.02)
    assert compared(second, first).difference.value == pytest.approx(-found.difference.value)


def test_what_is_detectable_is_found_four_times_of_five() -> None:
    generator = np.random.default_rng(0)
    detectable = np.mean([compared(*generator.normal(size=(2, 60))).detectable for _ in range(20)])
    found = [
        compared(generator.normal(detectable, 1, 60), generator.normal(size=60), permutations=300).p_value <= 0.05
        for _ in range(200)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_more_tests_find_only_larger_differences() -> None:
    """Student's quantile of 0.05 / 10 for 59 degrees of freedom is 2.916, that of 0.05 2.001; 0.842 for the power."""
    first, second = np.random.default_rng(0).normal(size=(2, 60))
    one, ten = compared(first, second).detectable, compared(first, second, tests=10).detectable
    assert ten / one == pytest.approx((2.916 + 0.842) / (2.001 + 0.842), rel=1e-3)


def null(seed: int, kind: str) -> tuple[Scores, Scores, list[str], Any, str]:
    """Two runs of which neither is better, on groups of many sizes."""
    generator = np.random.default_rng(seed)
    sizes = generator.geometric(0.4, 80)
    groups = np.repeat(np.arange(80), sizes)
    shared = generator.normal(size=80)[groups]
    first, second = shared + generator.normal(size=(2, len(groups)))
    names = [str(number) for number in groups]
    if kind == "accuracy":
        runs = [np.stack([own < 0.8, np.full(len(own), 0.7), own >= 0.8, own * 0], axis=1) for own in (first, second)]
        return runs[0], runs[1], names, class_summary, "accuracy"
    if kind == "calibration_error":
        right = (generator.random(len(groups)) < expit(shared)).astype(float)
        runs = [np.stack([right, expit(own), 1 - right, own * 0], axis=1) for own in (first, second)]
        return runs[0], runs[1], names, class_summary, "calibration_error"
    if kind == "auroc":
        yes = (generator.random(len(groups)) < 0.4).astype(float)
        runs = [np.stack([yes, scale * (yes + own)], axis=1) for scale, own in ((1, first), (50, second))]
        return runs[0], runs[1], names, binary_summary, "auroc"
    return first[:, None], second[:, None], names, average, "mean"


def rejected(kind: str, draws: int, **options: Any) -> float:
    found = [compare_pair(*null(seed, kind), **options) for seed in range(draws)]
    return float(np.mean([own.p_value <= 0.05 for own in found if own]))


@pytest.mark.parametrize("kind", ["mean", "accuracy", "auroc", "calibration_error"])
def test_true_nulls_are_seldom_rejected(kind: str) -> None:
    """Five of a hundred are to be; of 200 draws, 21 and more would come with a probability of 0.001."""
    assert rejected(kind, 200, resamples=200, permutations=199) <= 20 / 200


@pytest.mark.parametrize(
    "draws", [pytest.param(500, marks=pytest.mark.slow), pytest.param(2000, marks=pytest.mark.simulation)]
)
@pytest.mark.parametrize("kind", ["mean", "accuracy", "auroc", "calibration_error"])
def test_true_nulls_are_rejected_at_the_level(kind: str, draws: int) -> None:
    """Four to six of a hundred, and two standard errors of the simulation beyond."""
    beyond = 2 * (0.05 * 0.95 / draws) ** 0.5
    share = rejected(kind, draws, resamples=400, permutations=399)
    print(kind, share)
    assert 0.04 - beyond <= share <= 0.06 + beyond


def test_logits_of_other_scales_are_not_mixed() -> None:
    found = compare_pair(*null(0, "auroc"))
    assert found is not None
    assert found.test == "bootstrap"


def test_equal_scores() -> None:
    values = np.random.default_rng(0).normal(size=60)
    found = compared(values, values)
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert found.p_value == 1
    assert not found.too_few


def test_few_groups_are_too_few() -> None:
    values = np.random.default_rng(0).normal(size=(2, 60))
    assert compared(*values, groups=[str(number // 2) for number in range(60)]).too_few
    one = compared(*values, groups=["same"] * 60)
    assert one.too_few
    assert one.difference.low == one.difference.value == one.difference.high
    assert (one.p_value, one.detectable) == (1, np.inf)


def test_a_metric_that_is_not_defined() -> None:
    scores = np.stack([np.zeros(10), np.arange(10.0)], axis=1)
    assert compare_pair(scores, scores, list("abcdefghij"), binary_summary, "auroc") is None
    scores[0, 0] = 1  # a third of the resamples have no yes
    found = compare_pair(scores, scores, list("abcdefghij"), binary_summary, "auroc", resamples=300)
    assert found is not None
    assert 60 < found.undefined < 150


def test_seeds_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 100))
    alike = with_seeds([compared(first, second), compared(first, second)])
    apart = with_seeds([compared(first + shift, second) for shift in (-0.5, 0.0, 0.5)])
    single = compared(first, second)
    assert [alike.difference.value, apart.difference.value] == pytest.approx([single.difference.value] * 2)
    width = single.difference.high - single.difference.low
    assert alike.difference.high - alike.difference.low == pytest.approx(width, rel=0.02)
    assert apart.difference.high - apart.difference.low > 2 * width
    assert with_seeds([single]) is single


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    """Of p = 0.01, 0.02, 0.03, 0.5 Holm's are 4 · 0.01, 3 · 0.02, 2 · 0.03, 0.5."""
    assert holm([0.5, 0.03, 0.01, 0.02]) == pytest.approx([0.5, 0.06, 0.04, 0.06])
    assert benjamini_hochberg([0.5, 0.03, 0.01, 0.02]) == pytest.approx([0.5, 0.04, 0.04, 0.04])
    assert holm([]) == benjamini_hochberg([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_keeps_the_rate_of_any_false_finding() -> None:
    generator = np.random.default_rng(0)
    found = [min(holm(list(generator.random(8)))) <= 0.05 for _ in range(3000)]
    assert np.mean(found) <= 0.05 + 2 * (0.05 * 0.95 / 3000) ** 0.5
