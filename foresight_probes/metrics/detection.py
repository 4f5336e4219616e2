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

from foresight_probes.metrics.resamples import ratio
from foresight_probes.results.scores import Scores

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


def average_precision(images: Sequence[Mapping[int, Matched]], counts: np.ndarray) -> np.ndarray:
    """[R, A, T] average precision over classes of resamples, NaN for a range of area without objects.

    As COCO computes it: per class, the detections of all images by falling score; precision made to fall with recall;
    its mean over 101 recalls. Equal to `COCOeval.accumulate` and much faster.

    Args:
        images: Per image what is `matched` in it.
        counts: [R, N] how often each resample has each image.
    """
    by_class: defaultdict[int, dict[int, Matched]] = defaultdict(dict)
    for number, image in enumerate(images):
        for name, part in image.items():
            by_class[name][number] = part
    total, measured = np.zeros((2, len(counts), len(AREAS), len(THRESHOLDS)))
    for name in sorted(by_class):
        precision = _precision(by_class[name], counts)
        there = ~np.isnan(precision)
        total, measured = total + np.where(there, precision, 0), measured + there
    return ratio(total, measured)


def _precision(parts: Mapping[int, Matched], counts: np.ndarray) -> np.ndarray:
    """[R, A, T] of one class, NaN where it has no objects; `parts` by number of the image."""
    images, every = list(parts), list(parts.values())
    objects = counts[:, images] @ np.stack([part.objects for part in every])
    order = np.argsort(-np.concatenate([part.scores for part in every]), kind="stable")
    image_of = np.repeat(images, [len(part.scores) for part in every])[order]
    counted = ~np.concatenate([part.ignored for part in every], axis=2)[:, :, order]
    hits = np.concatenate([part.hits for part in every], axis=2)[:, :, order] & counted
    found = np.full((*objects.shape, len(THRESHOLDS)), np.nan)
    for row, count in enumerate(counts):
        # an image that is there twice has its detections twice in a row, which is one step of twice the height
        right, judged = ((each * count[image_of]).cumsum(2) for each in (hits, counted))
        precision = right / (judged + np.spacing(1))
        falling = np.maximum.accumulate(precision[:, :, ::-1], axis=2)[:, :, ::-1]
        padded = np.concatenate([falling, np.zeros((*falling.shape[:2], 1))], axis=2)
        for area in np.flatnonzero(objects[row]):
            recalls = right[area] / objects[row, area]
            at = np.stack([np.searchsorted(recall, RECALLS, side="left") for recall in recalls])
            found[row, area] = np.take_along_axis(padded[area], at, axis=1).mean(1)
    return found


def summary(scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
    """COCO's mAP at IoU 0.5, 0.75 and 0.5:0.95, and the last by area; `scores` holds one `record` per image.

    Ranges of area without objects are undefined.
    """
    found = average_precision([matched(image) for image in scores], counts)
    named = {"map_0.5": found[:, 0, 0], "map_0.75": found[:, 0, 5], "map_0.5:0.95": found[:, 0].mean(-1)}
    return named | {f"map_{name}": found[:, place].mean(-1) for place, name in enumerate(AREAS) if place}
