"""Intervals and paired tests of mean average precision, whose value in a population of images is known."""

import numpy as np
import pytest

from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.groups import fewest
from foresight_probes.statistics.paired import compare_pair
from tests.probes.statistics.detectors import drawn, map_50, truth

FEWEST = int(fewest("map_0.5"))


def coverage(*, groups: int, uneven: bool, draws: int, resamples: int) -> float:
    held = 0
    for seed in range(1, draws + 1):
        scores, _, of = drawn(seed, groups, uneven=uneven)
        interval = bootstrap(scores, of, map_50, resamples=resamples)["map_0.5"]
        held += interval.low <= truth(uneven=uneven) <= interval.high
    return held / draws


def rejected(*, uneven: bool, draws: int, resamples: int) -> float:
    p_values = []
    for seed in range(1, draws + 1):
        found = compare_pair(*drawn(seed, FEWEST, uneven=uneven), map_50, "map_0.5", resamples=resamples)
        assert found is not None
        assert not found.too_few or uneven
        p_values.append(found.p_value)
    return float(np.mean(np.array(p_values) <= 0.05))


def test_intervals_of_as_many_images_as_are_asked() -> None:
    """Of 60 draws at least 50 are held with a probability of 0.9995 where 95 of 100 are."""
    assert coverage(groups=FEWEST, uneven=False, draws=60, resamples=100) >= 50 / 60


def test_two_equal_detectors_are_seldom_found_different() -> None:
    """Five of a hundred are to be; of 60 draws, 10 and more would come with a probability of 0.001."""
    assert rejected(uneven=False, draws=60, resamples=100) <= 9 / 60


@pytest.mark.parametrize(
    ("groups", "draws"),
    [
        pytest.param(FEWEST, 300, marks=pytest.mark.slow),
        pytest.param(FEWEST, 1000, marks=pytest.mark.simulation),
        pytest.param(1000, 600, marks=pytest.mark.simulation),
    ],
)
@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
def test_intervals_hold_93_to_97_of_100(groups: int, uneven: bool, draws: int) -> None:
    """Two standard errors of the simulation are allowed beyond."""
    beyond = 2 * (0.95 * 0.05 / draws) ** 0.5
    share = coverage(groups=groups, uneven=uneven, draws=draws, resamples=200)
    print("map_0.5", "uneven" if uneven else "even", groups, round(share, 3))
    assert 0.93 - beyond <= share <= 0.97 + beyond


@pytest.mark.parametrize(
    "draws", [pytest.param(250, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.simulation)]
)
@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
def test_two_equal_detectors_are_found_different_at_the_level(uneven: bool, draws: int) -> None:
    """Four to six of a hundred, and two standard errors of the simulation beyond."""
    beyond = 2 * (0.05 * 0.95 / draws) ** 0.5
    share = rejected(uneven=uneven, draws=draws, resamples=200)
    print("map_0.5", "uneven" if uneven else "even", share)
    assert 0.04 - beyond <= share <= 0.06 + beyond
