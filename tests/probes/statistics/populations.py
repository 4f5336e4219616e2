"""Populations with groups of samples that are like each other, whose metrics are known from very many samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit
from scipy.stats import beta, gamma, lognorm, norm

from foresight_probes.metrics import (
    Scores,
    box_metrics,
    classification_metrics,
    regression_metrics,
    segmentation_metrics,
)
from foresight_probes.metrics.resamples import Statistic, mean, point_estimate

LIKENESS = 0.3
"""Correlation of samples of a group."""
MANY = 300_000
"""Samples from which a metric is known: of 30,000 groups it would be uncertain by a fifth of what 1,000 leave open."""
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

    def truth(self) -> Mapping[str, float]:
        """Returns the metrics of very many samples; the sizes of groups, which tell nothing of these, do not matter."""
        return _truth(self)


@cache
def _truth(population: Population) -> Mapping[str, float]:
    """Deviates are evenly spread quantiles, which leave less to chance than draws of as many."""
    deviates = norm.ppf((np.arange(MANY) + 0.5) / MANY)
    return point_estimate(population.statistic, population.draw(np.random.default_rng(0), deviates))


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


def _means(*names: str) -> Statistic:
    def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return {name: mean(values, counts_RS) for name, values in zip(names, np.asarray(scores).T, strict=True)}

    return statistic


PICTURES = ("psnr", "ssim", "lpips", "edge_f1", "gram_distance")


def _pictures(*, good: bool) -> Draw:
    def draw(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
        """The metrics of pictures: what is plain is drawn well, and a few have no edges, where F1 is 0 or 1."""
        share = norm.cdf(deviates)
        edges = np.where(generator.random(len(share)) < 0.05, generator.random(len(share)) < 0.5, share)
        columns = (
            (32 if good else 19) + 4 * deviates + 0.8 * np.square(deviates),
            beta.ppf(share, *((9, 0.6) if good else (2.5, 2))),
            gamma.ppf(1 - share, *((0.8, 0, 0.06) if good else (9, 0, 0.07))),
            np.where((edges == 0) | (edges == 1), edges, beta.ppf(edges, *((8, 0.8) if good else (1.5, 3)))),
            beta.ppf(1 - share, *((1, 12) if good else (4, 4))),
        )
        return np.stack(columns, axis=1)

    return draw


def _steps(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
    """(residual, total, cosine) of a prediction and of the copy, rank, of clips in most of which little moves."""
    total = lognorm.ppf(generator.random(len(deviates)), 0.4)
    moved = beta.ppf(norm.cdf(deviates), 0.7, 4)
    parts = []
    for missing in (moved * generator.beta(6, 4, len(moved)), moved):
        parts += [total * missing, total, np.sqrt(1 - missing) * generator.beta(60, 1, len(moved))]
    return np.stack([*parts, 0.5 * moved**2 * generator.random(len(moved))], axis=1)


def _steps_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    every = np.asarray(scores)
    own, copied = (regression_metrics.vector_summary(every[:, part], counts_RS) for part in (slice(3), slice(3, 6)))
    copies = {f"copy_{name}": values for name, values in copied.items()}
    return {**own, **copies, "mean_rank": mean(every[:, 6], counts_RS)}


def _counts(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
    """(prediction, truth) of numbers of objects, of which many are counted wrong."""
    truth = 1 + np.floor(gamma.ppf(norm.cdf(deviates), 1.2, 0, 4))
    return np.stack([truth * generator.lognormal(-0.1, 0.35, len(truth)), truth], axis=1)


def _places(generator: np.random.Generator, deviates: np.ndarray) -> Scores:
    """(error of the centre, of the size), small but for objects that were taken for others."""
    lost = norm.cdf(deviates) > 0.92
    away = np.where(lost, 0.15 + 0.4 * generator.random(len(lost)), gamma.ppf(generator.random(len(lost)), 2, 0, 0.02))
    return np.stack([away, away * generator.lognormal(0.7, 0.6, len(lost))], axis=1)


POPULATIONS = {
    "overlaps": Population(
        _overlaps,
        lambda scores, counts: box_metrics.summary(list(np.asarray(scores)), counts),
        ("mean_iou", "median_iou", "share_above_0.7"),
    ),
    "classes": Population(
        _classes(0.86), classification_metrics.class_summary, ("accuracy", "balanced_accuracy", "calibration_error")
    ),
    "easy classes": Population(_classes(0.93), classification_metrics.class_summary, ("accuracy", "balanced_accuracy")),
    "answers": Population(_answers(0.92), classification_metrics.binary_summary, ("auroc", "auprc", "accuracy")),
    "easy answers": Population(_answers(2.66), classification_metrics.binary_summary, ("auroc", "auprc")),
    "numbers": Population(_numbers(0.3), regression_metrics.scalar_summary, ("r2", "mae")),
    "sure numbers": Population(_numbers(0.9), regression_metrics.scalar_summary, ("r2", "mae")),
    "counts": Population(_counts, regression_metrics.scalar_summary, ("mae", "relative_error")),
    "pictures": Population(_pictures(good=False), _means(*PICTURES), PICTURES),
    "good pictures": Population(_pictures(good=True), _means(*PICTURES), PICTURES),
    "steps": Population(_steps, _steps_summary, ("r2", "cosine", "copy_r2", "copy_cosine", "mean_rank")),
    "places": Population(_places, _means("centre_error", "size_error"), ("centre_error", "size_error")),
    "maps": Population(_maps, segmentation_metrics.summary, ("miou",)),
}
