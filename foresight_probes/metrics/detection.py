"""COCO's average precision. Boxes are matched by pycocotools, image by image; what is matched is kept, so that the
precision of many resamplings of the same images costs little.

Boxes are (x0, y0, x1, y1) in pixels of the original image, because COCO's small and large are numbers of pixels.
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from foresight_probes.scores import Scores

MOST = 100
"""Detections of a class in an image that count: those with the highest scores."""

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoUs that a match must have."""

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is read."""

AREAS = ("all", "small", "medium", "large")
"""COCO's ranges of object area: below 32², from there to 96², and above."""

_COLUMNS = 8
_DETECTION, _OBJECT = 0, 1


def record(
    *,
    boxes: np.ndarray,
    classes: np.ndarray,
    scores: np.ndarray,
    true_boxes: np.ndarray,
    true_classes: np.ndarray,
    areas: np.ndarray,
    crowds: np.ndarray,
) -> np.ndarray:
    """All that average precision needs to know of one image, as a flat float64 array.

    Args:
        boxes: [P, 4] detected boxes with their `classes` [P] and `scores` [P].
        true_boxes: [K, 4] with `true_classes` [K], `areas` [K] of the objects' masks in pixels, and `crowds` [K] bool.
    """
    table = np.zeros((len(boxes) + len(true_boxes), _COLUMNS))
    found, true = table[: len(boxes)], table[len(boxes) :]
    found[:, 0], found[:, 1], found[:, 2:6], found[:, 6] = _DETECTION, classes, boxes, scores
    true[:, 0], true[:, 1], true[:, 2:6], true[:, 6], true[:, 7] = _OBJECT, true_classes, true_boxes, areas, crowds
    return table.reshape(-1)


@dataclass(frozen=True, slots=True)
class Matched:
    """The detections of one class in one image; A ranges of area, T thresholds, D detections by falling score."""

    scores: np.ndarray
    """[D]."""
    hits: np.ndarray
    """[A, T, D] bool: matched to an object."""
    ignored: np.ndarray
    """[A, T, D] bool: neither right nor wrong, as what lies in a crowd or is of another size."""
    objects: np.ndarray
    """[A] numbers of objects to be found."""


def matched(image: np.ndarray) -> Mapping[int, Matched]:
    """By class, how pycocotools matches the detections of a `record`."""
    return _matched(image.tobytes())


@lru_cache(maxsize=2**16)
def _matched(data: bytes) -> Mapping[int, Matched]:
    table = np.frombuffer(data).reshape(-1, _COLUMNS)
    if not len(table):
        return {}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells of every step
        evaluation = _evaluate(table)
    classes, ranges = evaluation.params.catIds, len(AREAS)
    found = {}
    for place, name in enumerate(classes):
        parts = evaluation.evalImgs[place * ranges : (place + 1) * ranges]
        found[int(name)] = Matched(
            scores=np.array(parts[0]["dtScores"]),
            hits=np.stack([part["dtMatches"] > 0 for part in parts]),
            ignored=np.stack([part["dtIgnore"].astype(bool) for part in parts]),
            objects=np.array([np.count_nonzero(np.array(part["gtIgnore"]) == 0) for part in parts]),
        )
    return found


def _evaluate(table: np.ndarray) -> COCOeval:
    """COCOeval of one image, with as many entries of `evalImgs` as there are classes times ranges of area."""
    annotations: dict[float, list[dict[str, object]]] = {_DETECTION: [], _OBJECT: []}
    for number, (kind, name, x0, y0, x1, y1, value, crowd) in enumerate(table.tolist(), start=1):
        box = [x0, y0, x1 - x0, y1 - y0]
        shared = {"id": number, "image_id": 1, "category_id": int(name), "bbox": box, "iscrowd": int(crowd)}
        of_kind = {"score": value, "area": box[2] * box[3]} if kind == _DETECTION else {"area": value}
        annotations[kind].append({**shared, **of_kind})
    categories = [{"id": int(name)} for name in np.unique(table[:, 1])]
    sides = []
    for kind in (_OBJECT, _DETECTION):
        side = COCO()
        side.dataset = {"images": [{"id": 1}], "categories": categories, "annotations": annotations[kind]}
        side.createIndex()
        sides.append(side)
    evaluation = COCOeval(*sides, iouType="bbox")
    evaluation.params.maxDets = [MOST]
    evaluation.evaluate()
    return evaluation


def average_precision(images: Sequence[Mapping[int, Matched]]) -> np.ndarray:
    """[A, T] average precision over classes, NaN for a range of area without objects.

    As COCO computes it: per class, the detections of all images by falling score; precision made to fall with recall;
    its mean over 101 recalls. Equal to `COCOeval.accumulate` and much faster.
    """
    by_class: defaultdict[int, list[Matched]] = defaultdict(list)
    for image in images:
        for name, part in image.items():
            by_class[name].append(part)
    precisions = [_precision(by_class[name]) for name in sorted(by_class)]
    found = np.full((len(precisions), len(AREAS), len(THRESHOLDS)), np.nan)
    for place, precision in enumerate(precisions):
        found[place] = precision
    measured = ~np.isnan(found)
    count = measured.sum(0)
    return np.where(count > 0, np.where(measured, found, 0).sum(0) / np.maximum(count, 1), np.nan)


def _precision(parts: Sequence[Matched]) -> np.ndarray:
    """[A, T] of one class, NaN where it has no objects."""
    objects = np.sum([part.objects for part in parts], axis=0)[:, None, None]
    order = np.argsort(-np.concatenate([part.scores for part in parts]), kind="stable")
    hits = np.concatenate([part.hits for part in parts], axis=2)[:, :, order]
    counted = ~np.concatenate([part.ignored for part in parts], axis=2)[:, :, order]
    right, wrong = (hits & counted).cumsum(2), (~hits & counted).cumsum(2)
    recall = right / np.maximum(objects, 1)
    precision = right / (right + wrong + np.spacing(1))
    falling = np.maximum.accumulate(precision[:, :, ::-1], axis=2)[:, :, ::-1]
    padded = np.concatenate([falling, np.zeros((*falling.shape[:2], 1))], axis=2)
    found = np.empty(falling.shape[:2])
    for place in np.ndindex(*found.shape):
        found[place] = padded[place][np.searchsorted(recall[place], RECALLS, side="left")].mean()
    return np.where(objects[:, :, 0] > 0, found, np.nan)


def summary(scores: Scores) -> dict[str, float]:
    """COCO's mAP at IoU 0.5, 0.75 and 0.5:0.95, and the last by area; `scores` holds one `record` per image.

    Ranges of area without objects are left out.
    """
    found = average_precision([matched(image) for image in scores])
    named = {"map_0.5": found[0, 0], "map_0.75": found[0, 5], "map_0.5:0.95": found[0].mean()}
    by_area = {f"map_{name}": found[place].mean() for place, name in enumerate(AREAS) if place}
    return {name: float(value) for name, value in (named | by_area).items() if not np.isnan(value)}
