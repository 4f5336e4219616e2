"""Agreement of two maps of classes."""

import numpy as np

from foresight_probes.metrics.resamples import grouped_sums, ratio
from foresight_probes.results.scores import Scores


def record(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What the metrics need to know of one sample: per class that occurs (class, hits, found, true), a flat float64.

    Both maps hold class numbers from 0; places where `truth` is negative have no answer and are left out.

    >>> record(np.array([0, 0, 1, 1]), np.array([0, 1, 1, -1])).reshape(-1, 4).tolist()
    [[0.0, 1.0, 2.0, 1.0], [1.0, 1.0, 1.0, 2.0]]
    """
    asked = truth >= 0
    found, truth = found[asked], truth[asked]
    size = int(max(found.max(initial=-1), truth.max(initial=-1))) + 1
    counts = [np.bincount(part, minlength=size) for part in (found[found == truth], found, truth)]
    rows = np.stack([np.arange(size), *counts], axis=1)
    return rows[(counts[1] + counts[2]) > 0].astype(np.float64).reshape(-1)


def summary(scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy over all places, and mIoU: hits / (found + true - hits) of each class over all samples, then the mean.

    Classes that are neither found nor true in any sample are left out of the mean (Long et al., "Fully Convolutional
    Networks for Semantic Segmentation", CVPR 2015).

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(summary, [record(np.array([0, 0, 1]), np.array([0, 1, 1]))])  # IoUs of 1/2 and 1/2
    {'miou': 0.5, 'accuracy': 0.6666666666666666}
    """
    tables = [score.reshape(-1, 4) for score in scores]
    kinds, *columns = np.concatenate(tables).T
    of_rows = np.repeat(counts, list(map(len, tables)), axis=1)
    hits, found, true = (grouped_sums(column, kinds.astype(int), of_rows) for column in columns)
    union = found + true - hits
    overlap = (hits / np.maximum(1, union)).sum(-1)
    return {"miou": ratio(overlap, (union > 0).sum(-1)), "accuracy": ratio(hits.sum(-1), true.sum(-1))}
