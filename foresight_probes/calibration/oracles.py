"""The best that can be read from noisy facts: answers of who knows how a cache was drawn, on its own test samples.

Noise is normal and of known power, so the posterior is exact where a fact has few values or is uniform. Boxes and
pictures are read by linear least squares.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import truncnorm

from foresight_probes.calibration.box_oracles import boxes_from_lists, boxes_from_tokens, detections
from foresight_probes.calibration.facts import NOISE
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.scenes import ANGLES, MOST_OBJECTS
from foresight_probes.calibration.told import Told, least_squares, told, with_constant
from foresight_probes.features.patches import unpatchify
from foresight_probes.metrics import classification_metrics, segmentation_metrics
from foresight_probes.metrics.edge_metrics import clip_edge_f1, edge_map
from foresight_probes.metrics.image_metrics import psnr
from foresight_probes.tasks.edges import EDGE_WEIGHT

LEVELS, JUDGED = np.linspace(-0.8, 0.4, 13), 60
"""Levels above which an edge may be drawn, where -1 is none and 1 one, and training samples on which they are tried."""


class Best(NamedTuple):
    """The best values of a metric."""

    linear: float
    """The best of a linear map of what a head reads, or of a token by itself."""
    any: float
    """The best of any function; infinite where it is not known."""


@cache
def best(task: str, cache: PlantedCache, point: PlantedPoint) -> Best:
    """Returns the best primary metric of a task on the test samples of a noisy point."""
    return ORACLES[task, point.subject](told(cache, point, "train"), told(cache, point, "test"))


def _class(group: str, _: Told, test: Told) -> Best:
    """The likeliest class, all being as likely before: the largest of the facts. It is linear."""
    truth_B = test.true(group)[:, 0].argmax(1)
    accuracy = float((test.noisy(group)[:, 0].argmax(1) == truth_B).mean())
    return Best(accuracy, accuracy)


def _hallucination(_: Told, test: Told) -> Best:
    """Answers by how high the fact is, which is the order of their probabilities. It is linear."""
    scores = np.stack([test.true("answer")[:, 0, 0] > 0, test.noisy("answer")[:, 0, 0]], axis=1).astype(float)
    area = float(classification_metrics.binary_summary(scores, np.ones((1, len(scores)), np.int64))["auroc"][0])
    return Best(area, area)


def _count(_: Told, test: Told) -> Best:
    """The mean of the posterior over one to five objects."""
    values_K = (np.arange(1, MOST_OBJECTS + 1) - 3) / 2**0.5
    noisy_B, variance = test.noisy("count")[:, 0, 0], NOISE["count"] ** 2
    weights_BK = np.exp(-((noisy_B[:, None] - values_K) ** 2) / (2 * variance))
    posterior_B = (weights_BK * values_K).sum(1) / weights_BK.sum(1)
    return _numbers(posterior_B, noisy_B / (1 + variance), test.true("count")[:, 0, 0])


def _speed(_: Told, test: Told) -> Best:
    """The mean of the posterior of a uniform speed: of a normal distribution that is cut at its ends."""
    noisy_B, deviation, end = test.noisy("speed")[:, 0, 0], NOISE["speed"], 3**0.5
    low_B, high_B = ((side - noisy_B) / deviation for side in (-end, end))
    posterior_B = truncnorm.mean(low_B, high_B, loc=noisy_B, scale=deviation)
    return _numbers(posterior_B, noisy_B / (1 + deviation**2), test.true("speed")[:, 0, 0])


def _numbers(posterior_B: np.ndarray, linear_B: np.ndarray, truth_B: np.ndarray) -> Best:
    """R² of the posterior mean, and of the best linear answer to a fact of variance 1."""
    total = np.square(truth_B - truth_B.mean()).sum()
    return Best(*(float(1 - np.square(answer - truth_B).sum() / total) for answer in (linear_B, posterior_B)))


def _order(_: Told, test: Told) -> Best:
    """Whether time, as the facts tell it, goes forward or back: the sign of its slope."""
    times_BN = test.true("time")[..., 0]
    right = float(((times_BN * test.noisy("time")[..., 0]).sum(1) > 0).mean())
    return Best(right, right)  # as often for clips that are turned around, whose facts are the same with other signs


def _patch_class(_: Told, test: Told) -> Best:
    """The likeliest class of each token; its peak tells, without noise, whether there is an object at all."""
    truth_BN = test.true("class").argmax(-1)
    chosen_BN = np.where(test.noisy("peak")[..., 0] < -0.5, 0, 1 + test.noisy("class")[..., 1:].argmax(-1))
    counts = [segmentation_metrics.class_counts(*pair) for pair in zip(chosen_BN, truth_BN, strict=True)]
    value = float(segmentation_metrics.summary(counts, np.ones((1, len(counts)), np.int64))["miou"][0])
    return Best(value, value)


def _pictures(train: Told, test: Told) -> Best:
    """Pixels by linear least squares on all facts of their own token."""
    solution = least_squares(_rows(train.noisy_BNF), _rows(train.true("pixels")))
    pixels = (with_constant(_rows(test.noisy_BNF)) @ solution).reshape(test.true("pixels").shape)
    decibels = []
    for pieces, scene in zip(torch.from_numpy(pixels / 4 + 0.35).clamp(0, 1), test.scenes, strict=True):
        picture = unpatchify(pieces, test.grid, (1, *_cell(test), 3))
        decibels.append(float(psnr(picture[0].permute(2, 0, 1)[None], _truth(scene.pixels))))
    return Best(float(np.mean(decibels)), np.inf)


def _edges(train: Told, test: Told) -> Best:
    """The better of two: the posterior of each pixel's own fact, weighed as in the loss, and least squares on all facts
    of the token, whose pixels tell of edges too, above the level that is best on some training samples.
    """
    share, variance = float((train.true("edges") > 0).mean()), NOISE["edges"] ** 2
    logits = np.log(share / (1 - share)) + 2 * test.noisy("edges") / variance + np.log(EDGE_WEIGHT)
    solution = least_squares(_rows(train.noisy_BNF), _rows(train.true("edges")))
    known, asked = (
        (with_constant(_rows(side.noisy_BNF)) @ solution).reshape(side.true("edges").shape) for side in (train, test)
    )
    level = max(LEVELS, key=lambda bound: _mean_f1(known[:JUDGED] > bound, train))
    return Best(max(_mean_f1(logits > 0, test), _mean_f1(asked > level, test)), np.inf)


def _mean_f1(edges_BNC: np.ndarray, told: Told) -> float:
    """Returns the mean F1 of edges that are drawn of the first samples, one for each row."""
    scores = []
    for pieces, scene in zip(torch.from_numpy(edges_BNC), told.scenes, strict=False):
        drawn = unpatchify(pieces, told.grid, (1, *_cell(told), 1))[..., 0].numpy()
        scores.append(clip_edge_f1(drawn, [edge_map(scene.pixels[0])]))
    return float(np.mean(scores))


def _next_frame(_: Told, test: Told) -> Best:
    """The last state from the three before it, each turned on by its angle: their mean, shrunk for its noise."""
    samples, tokens, _ = test.noisy_BNF.shape
    frames = test.grid.t
    noisy = test.noisy("states").reshape(samples, frames, tokens // frames, len(ANGLES), 2)
    earlier = [_turn(noisy[:, step], (frames - 1 - step) * ANGLES) for step in range(frames - 1)]
    predicted = np.mean(earlier, axis=0) / (1 + NOISE["states"] ** 2 / len(earlier))
    value = float(1 - np.square(predicted - noisy[:, -1]).sum() / np.square(noisy[:, -1]).sum())
    return Best(value, value)


def _turn(states: np.ndarray, angles: np.ndarray) -> np.ndarray:
    across, down = states[..., 0], states[..., 1]
    sine, cosine = np.sin(angles), np.cos(angles)
    return np.stack([cosine * across - sine * down, sine * across + cosine * down], axis=-1)


def _rows(values_BNF: np.ndarray) -> np.ndarray:
    return values_BNF.reshape(-1, values_BNF.shape[-1])


def _cell(told: Told) -> tuple[int, int]:
    _, height, width, _ = told.scenes[0].pixels.shape
    return height // told.grid.h, width // told.grid.w


def _truth(pixels_1HWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels_1HWC / 255).permute(0, 3, 1, 2)


def _boxes(read: Callable[[Told, Told], float], train: Told, test: Told) -> Best:
    return Best(read(train, test), np.inf)


ORACLES: Mapping[tuple[str, str], Callable[[Told, Told], Best]] = MappingProxyType(
    {
        ("position", "objects"): partial(_boxes, boxes_from_tokens),
        ("position", "lists"): partial(_boxes, boxes_from_lists),
        ("boxes", "objects"): partial(_boxes, boxes_from_tokens),
        ("boxes", "lists"): partial(_boxes, boxes_from_lists),
        ("detection", "objects"): partial(_boxes, detections),
        ("patch-class", "objects"): _patch_class,
        ("counting", "answers"): _count,
        ("hallucination", "answers"): _hallucination,
        ("classification", "answers"): partial(_class, "kind"),
        ("relation", "relation"): partial(_class, "relation"),
        ("reconstruction", "picture"): _pictures,
        ("edges", "picture"): _edges,
        ("direction", "motion"): partial(_class, "direction"),
        ("action", "motion"): partial(_class, "action"),
        ("speed", "motion"): _speed,
        ("order", "motion"): _order,
        ("next-frame", "states"): _next_frame,
    }
)
"""Oracles by task and subject."""
