"""A population of images with objects and detections, a finite one, so that its mean average precision is known."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from foresight_probes.metrics.coco_average_precision import average_precision
from foresight_probes.metrics.coco_matching import ClassMatches, image_scores, match_image

GROUPS, CLASSES, SIDE = 1500, 4, 200.0
LARGEST = 3
"""Images of an uneven group at most."""
Image = tuple[np.ndarray, np.ndarray]
"""Scores of the same image by two detectors of which neither is better."""


@cache
def population() -> Sequence[Sequence[Image]]:
    """Returns groups of images that are as hard as each other, each with the answers of two equal detectors."""
    generator = np.random.default_rng(0)
    groups = []
    for _ in range(GROUPS):
        ease = float(np.clip(0.75 + 0.2 * generator.normal(), 0.05, 1))
        groups.append([_image(generator, ease) for _ in range(generator.integers(1, LARGEST + 1))])
    return groups


def _image(generator: np.random.Generator, ease: float) -> Image:
    count = int(generator.integers(1, 5))
    corners, sides = 0.5 * SIDE * generator.random((count, 2)), SIDE * (0.1 + 0.3 * generator.random((count, 2)))
    boxes = np.concatenate([corners, corners + sides], axis=1)
    classes = generator.integers(CLASSES, size=count)
    one, other = (_detected(generator, ease, boxes, classes) for _ in range(2))
    return one, other


def _detected(generator: np.random.Generator, ease: float, boxes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Most objects near their place, a few of them as another class, and some boxes of nothing."""
    seen = generator.random(len(boxes)) < ease
    near = boxes[seen] + 0.03 * SIDE * generator.normal(size=(seen.sum(), 4))
    named = np.where(generator.random(seen.sum()) < 0.85, classes[seen], generator.integers(CLASSES, size=seen.sum()))
    nothing = generator.poisson(0.8)
    corners = 0.5 * SIDE * generator.random((nothing, 2))
    of_nothing = np.concatenate([corners, corners + SIDE * (0.1 + 0.3 * generator.random((nothing, 2)))], axis=1)
    return image_scores(
        boxes=np.concatenate([near, of_nothing]),
        classes=np.concatenate([named, generator.integers(CLASSES, size=nothing)]),
        scores=np.concatenate([generator.beta(4, 2, len(near)), generator.beta(2, 3, nothing)]),
        true_boxes=boxes,
        true_classes=classes,
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(1),
        crowds=np.zeros(len(boxes), bool),
    )


def drawn(seed: int, groups: int, *, uneven: bool) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """Returns scores of two detectors, which change places at random in each image, and the groups of the images."""
    generator = np.random.default_rng([seed, groups, uneven])
    first, second, of = [], [], []
    for number, pick in enumerate(generator.integers(GROUPS, size=groups)):
        for one, other in population()[pick][: None if uneven else 1]:
            swapped = generator.integers(2)
            first.append((one, other)[swapped])
            second.append((other, one)[swapped])
            of.append(f"group {number}")
    return first, second, of


def _at_half(found: ClassMatches) -> ClassMatches:
    """Matches of objects of all sizes at IoU 0.5 alone, of which average precision is found sooner."""
    return replace(found, hits=found.hits[:1, :1], ignored=found.ignored[:1, :1], objects=found.objects[:1])


def map_50(scores: Sequence[np.ndarray], counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns mAP at an IoU of 0.5 of each resample."""
    matches = [{name: _at_half(found) for name, found in match_image(image).items()} for image in scores]
    return {"map_0.5": average_precision(matches, counts_RS)[:, 0, 0]}


@cache
def truth(*, uneven: bool) -> float:
    """Returns mAP at an IoU of 0.5 of the whole population, each image once with each detector."""
    kept = [image for group in population() for image in group[: None if uneven else 1]]
    every = [detected for image in kept for detected in image]
    return float(map_50(every, np.ones((1, len(every)), np.int64))["map_0.5"][0])
