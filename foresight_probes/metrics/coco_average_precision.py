"""COCO's average precision of many resamples of the same images, from the matches of each image."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.metrics.coco_matching import AREAS, ClassMatches, match_image
from foresight_probes.metrics.resamples import ratio

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoUs that a match must have."""

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is read."""

_BLOCK = 2**21
"""Counts of detections that are held at a time."""


def average_precision(images: Sequence[Mapping[int, ClassMatches]], counts_RS: np.ndarray) -> np.ndarray:
    """Returns average precision over classes, [R, areas, thresholds]; NaN for a range of area without objects.

    It is COCO's (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014): per class, the detections of all
    images by falling score; precision made to fall with recall; its mean over 101 recalls. Equal to
    `COCOeval.accumulate` and much faster.

    Args:
        images: Matches of each image, as of `match_image`.
        counts_RS: Number of times that each resample has each image.
    """
    by_class: defaultdict[int, dict[int, ClassMatches]] = defaultdict(dict)
    for number, image in enumerate(images):
        for name, part in image.items():
            by_class[name][number] = part
    total, measured = np.zeros((2, len(counts_RS), len(AREAS), len(THRESHOLDS)))
    for name in sorted(by_class):
        precision = _precision(by_class[name], counts_RS)
        defined = ~np.isnan(precision)
        total, measured = total + np.where(defined, precision, 0), measured + defined
    return ratio(total, measured)


def _precision(parts: Mapping[int, ClassMatches], counts_RS: np.ndarray) -> np.ndarray:
    """Returns the precision of one class, [R, areas, thresholds], NaN without objects; `parts` is by image."""
    images, every = list(parts), list(parts.values())
    objects_AI = np.stack([part.objects for part in every], axis=1)
    order = np.argsort(-np.concatenate([part.scores for part in every]), kind="stable")
    image_of = np.repeat(images, [len(part.scores) for part in every])[order]
    counted = ~np.concatenate([part.ignored for part in every], axis=2)[:, :, order]
    hits = np.concatenate([part.hits for part in every], axis=2)[:, :, order] & counted
    block = max(1, _BLOCK // max(1, len(image_of)))
    blocks = [
        _of_resamples(counts_RS[first : first + block], images, objects_AI, image_of, counted, hits)
        for first in range(0, len(counts_RS), block)
    ]
    return np.concatenate(blocks)


def _of_resamples(
    counts_RS: np.ndarray,
    images: Sequence[int],
    objects_AI: np.ndarray,
    image_of_M: np.ndarray,
    counted_ATM: np.ndarray,
    hits_ATM: np.ndarray,
) -> np.ndarray:
    """Returns the precision of one class in some resamples from its M detections, the surest first.

    An image that is there twice has its detections twice in a row, which is one step of twice the height.
    """
    weights_RM = counts_RS[:, image_of_M]
    before_RM = weights_RM.cumsum(1)
    precisions = np.full((len(counts_RS), *hits_ATM.shape[:2]), np.nan)
    for area, objects_I in enumerate(objects_AI):
        objects_R = counts_RS[:, images] @ objects_I
        reached = _recalls_reached(objects_R)
        for threshold, (counted_M, hits_M) in enumerate(zip(counted_ATM[area], hits_ATM[area], strict=True)):
            right_RH = weights_RM[:, hits_M].cumsum(1)
            if counted_M.all():
                judged_RH = before_RM[:, hits_M]
            else:
                judged_RH = weights_RM[:, counted_M].cumsum(1)[:, hits_M[counted_M]]
            precisions[:, area, threshold] = _mean_precision(right_RH, judged_RH, reached)
        precisions[objects_R == 0, area] = np.nan
    return precisions


def _recalls_reached(objects_R: np.ndarray) -> np.ndarray:
    """Returns how many of `RECALLS` are reached by each number of objects that are found, [R, most objects + 1]."""
    found = np.arange(objects_R.max(initial=0) + 1)
    reached: np.ndarray = np.searchsorted(RECALLS, found / np.maximum(objects_R, 1)[:, None], side="right")
    return reached


def _mean_precision(right_RH: np.ndarray, judged_RH: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """Returns the mean over `RECALLS` of the precision that is made to fall, [R]; zero for recalls beyond the last.

    Recall grows, and precision has its maxima, at hits alone: there, `right_RH` detections of `judged_RH` are right.
    """
    precision_RH = right_RH / (judged_RH + np.spacing(1))
    falling_RH = np.maximum.accumulate(precision_RH[:, ::-1], axis=1)[:, ::-1]
    recalls_RH = np.diff(np.take_along_axis(reached, right_RH, axis=1), axis=1, prepend=0)
    mean_R: np.ndarray = (falling_RH * recalls_RH).sum(1) / len(RECALLS)
    return mean_R


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns COCO's mAP at IoU 0.5, 0.75 and 0.5:0.95, and the last by area; `scores` are `image_scores`.

    Ranges of area without objects are undefined.
    """
    precisions = average_precision([match_image(image) for image in scores], counts_RS)
    overall = precisions[:, 0]
    named = {"map_0.5": overall[:, 0], "map_0.75": overall[:, 5], "map_0.5:0.95": overall.mean(-1)}
    return named | {f"map_{name}": precisions[:, area].mean(-1) for area, name in enumerate(AREAS) if area}
