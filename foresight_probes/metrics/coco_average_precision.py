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
    objects = counts_RS[:, images] @ np.stack([part.objects for part in every])
    order = np.argsort(-np.concatenate([part.scores for part in every]), kind="stable")
    image_of = np.repeat(images, [len(part.scores) for part in every])[order]
    counted = ~np.concatenate([part.ignored for part in every], axis=2)[:, :, order]
    hits = np.concatenate([part.hits for part in every], axis=2)[:, :, order] & counted
    precisions = np.full((*objects.shape, len(THRESHOLDS)), np.nan)
    for row, count in enumerate(counts_RS):
        # an image that is there twice has its detections twice in a row, which is one step of twice the height
        right, judged = ((marks * count[image_of]).cumsum(2) for marks in (hits, counted))
        precision = right / (judged + np.spacing(1))
        falling = np.maximum.accumulate(precision[:, :, ::-1], axis=2)[:, :, ::-1]
        padded = np.concatenate([falling, np.zeros((*falling.shape[:2], 1))], axis=2)
        for area in np.flatnonzero(objects[row]):
            recalls = right[area] / objects[row, area]
            at = np.stack([np.searchsorted(recall, RECALLS, side="left") for recall in recalls])
            precisions[row, area] = np.take_along_axis(padded[area], at, axis=1).mean(1)
    return precisions


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns COCO's mAP at IoU 0.5, 0.75 and 0.5:0.95, and the last by area; `scores` are `image_scores`.

    Ranges of area without objects are undefined.
    """
    precisions = average_precision([match_image(image) for image in scores], counts_RS)
    overall = precisions[:, 0]
    named = {"map_0.5": overall[:, 0], "map_0.75": overall[:, 5], "map_0.5:0.95": overall.mean(-1)}
    return named | {f"map_{name}": precisions[:, area].mean(-1) for area, name in enumerate(AREAS) if area}
