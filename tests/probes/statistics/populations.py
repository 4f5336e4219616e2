"""Populations with groups of samples that are like each other, whose metrics are known from very many samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit
from scipy.stats import beta, norm

from foresight_probes.metrics import (
    Scores,
    box_metrics,
    classification_metrics,
    regression_metrics,
    segmentation_metrics,
)
from foresight_probes.metrics.resamples import Statistic, point_estimate

LIKENESS = 0.3
"""Correlation of samples of a group."""
MANY = 30_000
"""Groups from which a metric is known."""
Draw = Callable[[np.random.Generator, np.ndarray], Scores]


@dataclass(frozen=True)
class Population:
    """How samples are drawn whose normal deviates are given, and the metrics that are asked of them."""

    draw: Draw
    statistic: Statistic
    metrics: tuple[str, ...]

    def sample(self, seed: int, groups: int, *, uneven: bool) -> tuple[Scores, list[str]]:
        """Returns scores and groups."""
        generator = np.random.default_rng([seed, groups, uneven])
        sizes = generator.geometric(0.3, groups) + generator.poisson(1, groups) if uneven else np.ones(groups, int)
        group_of = np.repeat(np.arange(groups), sizes)
        shared = generator.normal(size=groups)[group_of]
        own = generator.normal(size=len(group_of))
        deviates = LIKENESS**0.5 * shared + (1 - LIKENESS) ** 0.5 * own
        return self.draw(generator, deviates), [f"group {number}" for number in group_of]

    def truth(self, *, uneven: bool) -> Mapping[str, float]:
        """Returns the metrics of very many samples."""
        return _truth(self, uneven)


@cache
def _truth(population: Population, uneven: bool) -> Mapping[str, float]:
    return point_estimate(population.statistic, population.sample(0, MANY, uneven=uneven)[0])


def _overlaps(_: np.random.Generator, deviates: np.ndarray) -> Scores:
    """IoUs, a part of which are 0."""
    share = norm.cdf(deviates)
    return np.where(share > 0.15, beta.ppf(share, 1.2, 1.0), 0.0)[:, None]


def _classes(right: float) -> Draw:
    def draw(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
        """(right, confidence, rank, class), where confidence is too high."""
        hits = (norm.cdf(deviates) < right).astype(float)
        confidence = 0.5 + 0.49 * generator.beta(4, 1.5, len(hits)) * (0.6 + 0.4 * hits)
        return np.stack([hits, confidence, 1 - hits, generator.integers(4, size=len(hits))], axis=1)

    return draw


def _answers(distance: float) -> Draw:
    def draw(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
        """(truth, logit), the logits too sure."""
        yes = (generator.random(len(deviates)) < 0.4).astype(float)
        return np.stack([yes, 2 * distance * (distance * (yes - 0.5) + deviates)], axis=1)

    return draw


def _numbers(explained: float) -> Draw:
    def draw(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
        """(prediction, truth)."""
        truth = 3 + 1.4 * deviates
        noise = (explained * (1 - explained)) ** 0.5 * 1.4 * generator.normal(size=len(truth))
        return np.stack([3 + explained * (truth - 3) + noise, truth], axis=1)

    return draw


def _maps(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
    """Counts of six classes, some of them rare, in 16 tokens."""
    truth = generator.choice(6, size=(len(deviates), 16), p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    right = generator.random(truth.shape) < expit(1 + deviates)[:, None]
    answers = np.where(right, truth, generator.integers(6, size=truth.shape))
    return [segmentation_metrics.class_counts(*pair) for pair in zip(answers, truth, strict=True)]


POPULATIONS = {
    "overlaps": Population(
        _overlaps,
        lambda scores, counts: box_metrics.summary(list(np.asarray(scores)), counts),
        ("mean_iou", "median_iou"),
    ),
    "classes": Population(
        _classes(0.86), classification_metrics.class_summary, ("accuracy", "balanced_accuracy", "calibration_error")
    ),
    "easy classes": Population(_classes(0.93), classification_metrics.class_summary, ("accuracy", "balanced_accuracy")),
    "answers": Population(_answers(0.92), classification_metrics.binary_summary, ("auroc", "auprc", "accuracy")),
    "easy answers": Population(_answers(2.66), classification_metrics.binary_summary, ("auroc", "auprc")),
    "numbers": Population(_numbers(0.3), regression_metrics.scalar_summary, ("r2", "mae")),
    "sure numbers": Population(_numbers(0.9), regression_metrics.scalar_summary, ("r2", "mae")),
    "maps": Population(_maps, segmentation_metrics.summary, ("miou",)),
}
