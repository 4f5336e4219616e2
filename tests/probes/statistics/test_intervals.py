"""Intervals hold what they are to hold as often as they say, of metrics that are known from very many samples."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binomtest, ncx2

from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.groups import FEWEST, effective_groups
from foresight_probes.statistics.scales import ends
from tests.probes.statistics.populations import POPULATIONS


def coverage(name: str, *, uneven: bool, groups: int, draws: int, resamples: int) -> dict[str, float]:
    population = POPULATIONS[name]
    truth = population.truth()
    held = dict.fromkeys(population.metrics, 0.0)
    for seed in range(1, draws + 1):
        scores, of = population.sample(seed, groups, uneven=uneven)
        found = bootstrap(scores, of, population.statistic, resamples=resamples)
        for metric in held:
            held[metric] += (found[metric].low <= truth[metric] <= found[metric].high) / draws
    return held


@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@pytest.mark.parametrize("name", POPULATIONS)
def test_intervals_of_a_hundred_groups(name: str, uneven: bool) -> None:
    """Of 60 draws at least 50 are held with a probability of 0.9995 where 95 of 100 are."""
    for metric, share in coverage(name, uneven=uneven, groups=100, draws=60, resamples=200).items():
        assert share >= 50 / 60, metric


@pytest.mark.parametrize(
    ("uneven", "groups", "draws", "resamples"),
    [
        pytest.param(True, 100, 300, 200, marks=pytest.mark.slow),
        *(
            pytest.param(uneven, groups, 1000, resamples, marks=pytest.mark.simulation)
            for groups, resamples in ((100, 400), (1000, 200))
            for uneven in (False, True)
        ),
    ],
)
@pytest.mark.parametrize("name", POPULATIONS)
def test_intervals_hold_93_to_97_of_100(name: str, uneven: bool, groups: int, draws: int, resamples: int) -> None:
    """Two standard errors of the simulation are allowed beyond."""
    beyond = 2 * (0.95 * 0.05 / draws) ** 0.5
    found = coverage(name, uneven=uneven, groups=groups, draws=draws, resamples=resamples)
    print(name, "uneven" if uneven else "even", groups, {metric: round(share, 3) for metric, share in found.items()})
    for metric, share in found.items():
        assert 0.93 - beyond <= share <= 0.97 + beyond, metric


@pytest.mark.parametrize(("right", "of"), [(93, 100), (3, 100), (50, 100), (997, 1000)])
def test_a_proportion_of_single_samples_has_wilsons_interval(right: int, of: int) -> None:
    error = (right / of * (1 - right / of) / of) ** 0.5
    draws = right / of + error * np.tile([-1.0, 1.0], 500)
    expected = binomtest(right, of).proportion_ci(method="wilson")
    found = ends("accuracy", right / of, draws, groups=1e9, confidence=0.95)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_a_proportion_without_errors_has_an_interval_nevertheless() -> None:
    expected = binomtest(40, 40).proportion_ci(method="wilson")
    low, high = ends("accuracy", 1.0, np.ones(100), groups=40, confidence=0.95)
    assert high == 1
    assert expected.low - 0.01 < low < expected.low  # Student's quantile is a little larger


@pytest.mark.parametrize(
    "metric", ["accuracy", "auroc", "map_0.5", "r2", "mae", "calibration_error", "psnr", "a metric of somebody"]
)
def test_the_value_is_inside(metric: str) -> None:
    """Whatever resamples say: of many rare classes they are all above it."""
    for value, draws in (
        (0.05, np.linspace(0.06, 0.08, 50)),
        (0.9, np.linspace(0.5, 0.8, 50)),
        (0.3, np.full(50, 0.3)),
    ):
        low, high = ends(metric, value, draws, groups=20, confidence=0.95)
        assert low <= value <= high
        assert np.isfinite([low, high]).all()


def test_metrics_that_are_bounded_have_intervals_in_their_bounds() -> None:
    for metric in ("mean_iou", "auprc", "map_small", "share_above_0.5", "top_5"):
        for value in (0.0, 0.001, 0.5, 0.999, 1.0):
            low, high = ends(
                metric, value, np.clip(value + np.linspace(-0.3, 0.3, 99), 0, 1), groups=8, confidence=0.95
            )
            assert -1e-12 <= low <= high <= 1 + 1e-12, (metric, value)
    low, high = ends("r2", 0.9, np.linspace(0.5, 1.2, 99), groups=8, confidence=0.95)
    assert high <= 1
    assert ends("mae", 0.1, np.linspace(0, 0.4, 99), groups=8, confidence=0.95)[0] >= 0


@pytest.mark.parametrize("metric", ["mean_iou", "ssim", "edge_f1"])
def test_mean_shares_mirror_mean_errors(metric: str) -> None:
    """Near 1, a few low shares make an interval reach further down than up."""
    draws = 0.9 - np.random.default_rng(0).gamma(4, 0.01, 2000) + 0.04
    low, high = ends(metric, 0.9, draws, groups=100, confidence=0.95)
    assert 0.9 - low > 1.2 * (high - 0.9)
    mirrored = ends("lpips", 0.1, 1 - draws, groups=100, confidence=0.95)
    assert (1 - high, 1 - low) == pytest.approx(mirrored)


@pytest.mark.parametrize("metric", ["auprc", "map_0.5"])
def test_a_biased_share_is_centred_below(metric: str) -> None:
    """Resamples whose log-odds are 0.3 ± 0.4 above: the interval is about 0.3 below, ± a quantile of √(0.4² + 0.3²)."""
    draws = expit(0.3 + 0.4 * np.tile([-1.0, 1.0], 500))
    low, high = ends(metric, 0.5, draws, groups=1e9, confidence=0.95)
    assert (low, high) == pytest.approx(tuple(expit(-0.3 + 1.96 * 0.5 * np.array([-1, 1]))), abs=1e-4)


@pytest.mark.parametrize("square", [0.5, 0.05, 0.02])
def test_a_debiased_root_has_the_interval_of_the_squares_that_it_is_made_of(square: float) -> None:
    """Twelve squares of normal means, each with a noise of 0.01: resamples are 0.12 above and spread as χ² has it."""
    noise = 0.12
    mean, variance = square + noise, 4 * 0.01 * (square + noise) + 2 * 12 * 0.01**2
    draws = np.sqrt(mean + variance**0.5 * np.tile([-1.0, 1.0], 500))
    low, high = ends("calibration_error", square**0.5, draws, groups=1e9, confidence=0.95)

    def beyond(true: float, share: float) -> float:
        return float(ncx2.cdf((square + noise) / 0.01, 12, true / 0.01) - share)

    assert high**2 == pytest.approx(
        max(brentq(beyond, 1e-9, 2, args=(0.025,)), square + 1.96 * variance**0.5), rel=1e-3
    )
    expected = brentq(beyond, 1e-9, 2, args=(0.975,)) if beyond(1e-9, 0.975) > 0 else 0
    assert low**2 == pytest.approx(expected, rel=1e-3, abs=1e-12)
    assert (low == 0) == (square < 0.1)


def test_groups_of_many_sizes_tell_less() -> None:
    assert effective_groups(["a"] * 10) == 1
    assert effective_groups([f"{number}" for number in range(70)]) == 70
    assert effective_groups([*(f"{number}" for number in range(70)), *["large"] * 30]) < 11 < FEWEST
    assert effective_groups([]) == 0


def test_errors_of_a_few_uneven_groups_have_intervals_of_their_size() -> None:
    low, high = ends("mae", 0.66, np.linspace(0, 3, 99), groups=1.01, confidence=0.95)
    assert 0 <= low <= 0.66 <= high < 200
    low, high = ends("r2", 0.3, np.linspace(-3, 1, 99), groups=1.01, confidence=0.95)
    assert -500 < low <= 0.3 <= high <= 1
