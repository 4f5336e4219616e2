"""Intervals that count refitting hold what heads of other training samples would read; those of one head do not."""

import numpy as np
import pytest

from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.paired import compare_pair

CHANNELS, TRAIN, TEST, NOISE, PENALTY, PARTS = 40, 100, 1000, 0.6, 3.0, 10


class Linear:
    """A linear world, with ridge regression solved from its normal equations."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.weight = generator.normal(size=CHANNELS) / CHANNELS**0.5

    def samples(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        inputs = self.generator.normal(size=(count, CHANNELS))
        return inputs, inputs @ self.weight + NOISE * self.generator.normal(size=count)

    def expected_r2(self) -> float:
        """R² on all samples that there are, on the average over training samples."""
        weights = [ridge(*self.samples(TRAIN)) for _ in range(400)]
        errors = [np.square(weight - self.weight).sum() + NOISE**2 for weight in weights]
        return float(1 - np.mean(errors) / (np.square(self.weight).sum() + NOISE**2))


def ridge(inputs: np.ndarray, answers: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.linalg.solve(inputs.T @ inputs + PENALTY * np.eye(inputs.shape[1]), inputs.T @ answers)
    return found


def r2(scores: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    truth, found = scores[:, 0], scores[:, 1]
    total = counts @ truth**2 - (counts @ truth) ** 2 / counts.sum(1)
    return {"r2": 1 - counts @ (truth - found) ** 2 / total}


def coverage(draws: int) -> tuple[float, float]:
    """Shares of intervals of the head as it is, and of those that count refitting, that hold the expected R²."""
    world = Linear(np.random.default_rng(1))
    expected, hits = world.expected_r2(), np.zeros(2)
    groups = [str(number) for number in range(TEST)]
    for _ in range(draws):
        inputs, answers = world.samples(TRAIN)
        test_inputs, truth = world.samples(TEST)

        def tested(weight: np.ndarray, test_inputs: np.ndarray = test_inputs, truth: np.ndarray = truth) -> np.ndarray:
            return np.stack([truth, test_inputs @ weight], axis=1)

        once = np.ones((1, TEST))
        parts = [np.arange(TRAIN) % PARTS != part for part in range(PARTS)]
        refits = [r2(tested(ridge(inputs[kept], answers[kept])), once)["r2"][0] for kept in parts]
        scores = tested(ridge(inputs, answers))
        for place, own in enumerate(({}, {"r2": refits})):
            interval = bootstrap(scores, groups, r2, resamples=200, refits=own)["r2"]
            hits[place] += interval.low <= expected <= interval.high
    return hits[0] / draws, hits[1] / draws


def test_an_interval_of_one_head_does_not_hold_what_others_would_read() -> None:
    fixed, counting = coverage(60)
    assert fixed < 0.8
    assert counting > 0.92


@pytest.mark.slow
def test_intervals_that_count_refitting_cover_at_least_what_they_say() -> None:
    assert coverage(1000)[1] >= 0.95


def test_a_difference_counts_the_variance_of_its_refits() -> None:
    """By hand: the jackknife's variance of -0.1, 0, 0.1, 0 is 3/4 · 0.02, to which equal samples add nothing."""

    def mean(scores: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": counts @ scores[:, 0] / counts.sum(1)}

    first, second = np.full((100, 1), 0.6), np.full((100, 1), 0.5)
    groups = [str(number) for number in range(100)]
    plain = compare_pair(first, second, groups, mean, "mean")
    counting = compare_pair(first, second, groups, mean, "mean", refits=[-0.1, 0.0, 0.1, 0.0])
    assert plain is not None
    assert counting is not None
    assert plain.error == pytest.approx(0, abs=1e-12)
    assert plain.p_value < 0.01
    assert counting.error == pytest.approx(0.015**0.5)
    assert counting.freedom == pytest.approx(3)
    assert counting.p_value > 0.4
    assert counting.test == "bootstrap and refits"
