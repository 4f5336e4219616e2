"""COCO's matching of detections with objects, image by image, by pycocotools.

Boxes are (x0, y0, x1, y1) in pixels of the original image, because COCO's small and large are numbers of pixels.
"""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

MOST = 100
"""Detections of a class in an image that count: those with the highest scores."""

AREAS = ("all", "small", "medium", "large")
"""COCO's ranges of object area: below 32², from there to 96², and above."""

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoUs that a match must have."""

_COLUMNS = 8
_DETECTION, _OBJECT = 0, 1


def image_scores(
    *,
    boxes: np.ndarray,
    classes: np.ndarray,
    scores: np.ndarray,
    true_boxes: np.ndarray,
    true_classes: np.ndarray,
    areas: np.ndarray,
    crowds: np.ndarray,
) -> np.ndarray:
    """Packs the detections and the objects of one image into a flat float64 array.

    Args:
        boxes: Detected boxes, one row each, with their `classes` and `scores`.
        true_boxes: Objects, one row each, with `true_classes`, `areas` of their masks in pixels, and `crowds`, bool.
    """
    table = np.zeros((len(boxes) + len(true_boxes), _COLUMNS))
    detected, true = table[: len(boxes)], table[len(boxes) :]
    detected[:, 0], detected[:, 1], detected[:, 2:6], detected[:, 6] = _DETECTION, classes, boxes, scores
    true[:, 0], true[:, 1], true[:, 2:6], true[:, 6], true[:, 7] = _OBJECT, true_classes, true_boxes, areas, crowds
    return table.reshape(-1)


@dataclass(frozen=True, slots=True)
class ClassMatches:
    """Detections of one class in one image, over ranges of area and thresholds of IoU, by falling score."""

    scores: np.ndarray
    """Score of each detection."""
    hits: np.ndarray
    """[areas, thresholds, detections] bool: matched to an object."""
    ignored: np.ndarray
    """[areas, thresholds, detections] bool: neither right nor wrong, being in a crowd or of another size."""
    objects: np.ndarray
    """Number of objects to be detected, by range of area."""


def match_image(
    image: np.ndarray, *, areas: int = len(AREAS), thresholds: int = len(THRESHOLDS)
) -> Mapping[int, ClassMatches]:
    """Matches the detections of an image, packed by `image_scores`, with its objects; returns the matches by class.

    Only the first ranges of area and thresholds are looked at, as many as are asked for.
    """
    return _match_bytes(image.tobytes(), areas, thresholds)


@lru_cache(maxsize=2**16)
def _match_bytes(data: bytes, areas: int, thresholds: int) -> Mapping[int, ClassMatches]:
    table = np.frombuffer(data).reshape(-1, _COLUMNS)
    there = np.isin(table[:, 1], table[table[:, 0] == _OBJECT, 1])
    matches = _evaluated(table[there], areas, thresholds) if there.any() else {}
    return dict(sorted((matches | _unmatched(table[~there], areas, thresholds)).items()))


def _evaluated(table: np.ndarray, areas: int, thresholds: int) -> dict[int, ClassMatches]:
    """Returns what pycocotools says of classes of which there are objects."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints every step
        evaluation = _evaluate(table, areas, thresholds)
    matches = {}
    for index, name in enumerate(evaluation.params.catIds):
        parts = evaluation.evalImgs[index * areas : (index + 1) * areas]
        matches[int(name)] = ClassMatches(
            scores=np.array(parts[0]["dtScores"]),
            hits=np.stack([part["dtMatches"] > 0 for part in parts]),
            ignored=np.stack([part["dtIgnore"].astype(bool) for part in parts]),
            objects=np.array([np.count_nonzero(np.array(part["gtIgnore"]) == 0) for part in parts]),
        )
    return matches


def _unmatched(table: np.ndarray, areas: int, thresholds: int) -> dict[int, ClassMatches]:
    """Returns detections of classes of which there is no object: wrong, or ignored where they are of another size.

    They are most classes of an image, and pycocotools would take as long for each as for one with objects.
    """
    surest = table[np.argsort(-table[:, 6], kind="stable")]
    sizes = (surest[:, 4] - surest[:, 2]) * (surest[:, 5] - surest[:, 3])
    ranges = np.array(Params(iouType="bbox").areaRng[:areas])
    elsewhere = (sizes < ranges[:, :1]) | (sizes > ranges[:, 1:])
    matches = {}
    for name in np.unique(surest[:, 1]):
        own = np.flatnonzero(surest[:, 1] == name)[:MOST]
        shape = (areas, thresholds, len(own))
        matches[int(name)] = ClassMatches(
            scores=surest[own, 6],
            hits=np.zeros(shape, bool),
            ignored=np.broadcast_to(elsewhere[:, None, own], shape),
            objects=np.zeros(areas, np.int64),
        )
    return matches


def _evaluate(table: np.ndarray, areas: int, thresholds: int) -> COCOeval:
    """Returns COCOeval of one image, with as many entries of `evalImgs` as there are classes times ranges of area."""
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
    evaluation.params.areaRng = evaluation.params.areaRng[:areas]
    evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:areas]
    evaluation.params.iouThrs = THRESHOLDS[:thresholds]
    evaluation.evaluate()
    return evaluation
