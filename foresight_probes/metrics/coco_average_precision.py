"""COCO's average precision of many resamples of the same images, from the matches of each image."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.metrics.coco_matching import AREAS, THRESHOLDS, ClassMatches, match_image
from foresight_probes.metrics.resamples import ratio

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is read."""

_BLOCK, _LEAST = 2**20, 64
"""Counts of detections that are held at a time, for so many resamples at least."""


def average_precision(images: Sequence[Mapping[int, ClassMatches]], counts_RS: np.ndarray) -> np.ndarray:
    """Returns average precision over classes, [R, areas, thresholds]; NaN where there is no object.

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
    counts_SR = np.ascontiguousarray(counts_RS.T, dtype=np.int32)
    total, measured = np.zeros((2, len(counts_RS), 1, 1))
    for name in sorted(by_class):
        precision = _precision(by_class[name], counts_SR)
        defined = ~np.isnan(precision)
        total, measured = total + np.where(defined, precision, 0), measured + defined
    return ratio(total, measured)


def _precision(parts: Mapping[int, ClassMatches], counts_SR: np.ndarray) -> np.ndarray:
    """Returns the precision of one class, [R, areas, thresholds], NaN without objects; `parts` is by image."""
    images, every = list(parts), list(parts.values())
    objects_AI = np.stack([part.objects for part in every], axis=1)
    order = np.argsort(-np.concatenate([part.scores for part in every]), kind="stable")
    image_of = np.repeat(images, [len(part.scores) for part in every])[order]
    counted = ~np.concatenate([part.ignored for part in every], axis=2)[:, :, order]
    hits = np.concatenate([part.hits for part in every], axis=2)[:, :, order] & counted
    block = max(_LEAST, _BLOCK // max(1, len(image_of)))
    blocks = [
        _of_resamples(counts_SR[:, first : first + block], images, objects_AI, image_of, counted, hits)
        for first in range(0, counts_SR.shape[1], block)
    ]
    return np.concatenate(blocks)


def _of_resamples(
    counts_SR: np.ndarray,
    images: Sequence[int],
    objects_AI: np.ndarray,
    image_of_M: np.ndarray,
    counted_ATM: np.ndarray,
    hits_ATM: np.ndarray,
) -> np.ndarray:
    """Returns the precision of one class in some resamples from its M detections, the surest first.

    An image that is there twice has its detections twice in a row, which is one step of twice the height.
    """
    weights_MR = counts_SR[image_of_M]
    precisions = np.full((counts_SR.shape[1], *hits_ATM.shape[:2]), np.nan)
    for area, objects_I in enumerate(objects_AI):
        objects_R = objects_I @ counts_SR[images]
        needed_RQ = _needed(objects_R)
        judged = _Judged(weights_MR, counted_ATM[area, -1])
        for threshold, (counted_M, hits_M) in enumerate(zip(counted_ATM[area], hits_ATM[area], strict=True)):
            hits_H = np.flatnonzero(hits_M)
            right_HR = weights_MR[hits_H].cumsum(0, dtype=np.int32)
            precisions[:, area, threshold] = _mean_precision(right_HR, judged.upto(hits_H, counted_M), needed_RQ)
        precisions[objects_R == 0, area] = np.nan
    return precisions


class _Judged:
    """Detections that are right or wrong, up to some of them: those of the highest threshold of IoU are summed once.

    At other thresholds these are the same but for the few detections that are matched to ignored objects.
    """

    def __init__(self, weights_MR: np.ndarray, usual_M: np.ndarray) -> None:
        self._weights_MR, self._usual_M = weights_MR, usual_M
        self._usual = _sums(weights_MR if usual_M.all() else weights_MR[usual_M])
        self._usual_before = usual_M.cumsum()

    def upto(self, hits_H: np.ndarray, counted_M: np.ndarray) -> np.ndarray:
        """Returns how many of the counted detections there are up to each hit, itself included, [H, R]."""
        judged_HR: np.ndarray = self._usual[self._usual_before[hits_H]]
        other_M = counted_M != self._usual_M
        if other_M.any():
            others = np.flatnonzero(other_M)
            signs = np.where(counted_M[others], 1, -1).astype(np.int32)
            judged_HR += _sums(self._weights_MR[others] * signs[:, None])[other_M.cumsum()[hits_H]]
        return judged_HR


def _sums(weights_MR: np.ndarray) -> np.ndarray:
    """Returns sums of the first 0, 1, … M rows, [M + 1, R]."""
    sums = np.zeros((len(weights_MR) + 1, weights_MR.shape[1]), np.int32)
    np.cumsum(weights_MR, axis=0, out=sums[1:], dtype=np.int32)
    return sums


def _needed(objects_R: np.ndarray) -> np.ndarray:
    """Returns the least number of found objects that reaches each of `RECALLS`, [R, 101], as floats compare."""
    objects_R1 = np.maximum(objects_R, 1)[:, None]
    needed_RQ: np.ndarray = np.maximum(np.floor(RECALLS * objects_R1) - 1, 0).astype(np.int64)
    for _ in range(3):
        needed_RQ += needed_RQ / objects_R1 < RECALLS
    return needed_RQ


def _mean_precision(right_HR: np.ndarray, judged_HR: np.ndarray, needed_RQ: np.ndarray) -> np.ndarray:
    """Returns the mean over `RECALLS` of the precision that is made to fall, [R]; zero for recalls beyond the last.

    Recall grows, and precision has its maxima, at hits alone: there, `right_HR` detections of `judged_HR` are right.
    """
    hits, resamples = right_HR.shape
    if not hits:
        return np.zeros(resamples)
    precision_HR = right_HR / (judged_HR + np.spacing(1))
    falling_HR = np.maximum.accumulate(precision_HR[::-1], axis=0)[::-1]
    rows_R1 = np.arange(resamples)[:, None]
    step = max(int(right_HR[-1].max()), int(needed_RQ.max())) + 1  # so that the rows of all resamples rise as one
    rising = (np.ascontiguousarray(right_HR.T, dtype=np.int64) + step * rows_R1).ravel()
    first_RQ = np.searchsorted(rising, needed_RQ + step * rows_R1) - hits * rows_R1
    reached_RQ = np.where(first_RQ < hits, falling_HR[np.minimum(first_RQ, hits - 1), rows_R1], 0)
    mean_R: np.ndarray = reached_RQ.sum(1) / len(RECALLS)
    return mean_R


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns COCO's mAP at IoU 0.5, 0.75 and 0.5:0.95, and the last by area; `scores` are `image_scores`.

    Ranges of area without objects are undefined.
    """
    precisions = average_precision([match_image(image) for image in scores], counts_RS)
    precisions = np.broadcast_to(precisions, (len(counts_RS), len(AREAS), len(THRESHOLDS)))
    overall = precisions[:, 0]
    named = {"map_0.5": overall[:, 0], "map_0.75": overall[:, 5], "map_0.5:0.95": overall.mean(-1)}
    return named | {f"map_{name}": precisions[:, area].mean(-1) for area, name in enumerate(AREAS) if area}


def map_50(scores: Scores) -> float:
    """Returns mAP at IoU 0.5 alone, much sooner than `summary`; NaN without objects."""
    matches = [match_image(image, areas=1, thresholds=1) for image in scores]
    return float(average_precision(matches, np.ones((1, len(scores)), np.int64))[0, 0, 0])
