"""Agreement of predicted and true maps of classes."""

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import grouped_sums, ratio


def class_counts(classes_N: np.ndarray, truth_N: np.ndarray) -> np.ndarray:
    """Returns (class, hits, predicted, true) of each class that occurs in one sample, a flat float64 array.

    Both maps hold class numbers from 0; tokens where the truth is negative have no answer and are left out.

    >>> class_counts(np.array([0, 0, 1, 1]), np.array([0, 1, 1, -1])).reshape(-1, 4).tolist()
    [[0.0, 1.0, 2.0, 1.0], [1.0, 1.0, 1.0, 2.0]]
    """
    known = truth_N >= 0
    classes, truth = classes_N[known], truth_N[known]
    size = int(max(classes.max(initial=-1), truth.max(initial=-1))) + 1
    counts = [np.bincount(part, minlength=size) for part in (classes[classes == truth], classes, truth)]
    rows = np.stack([np.arange(size), *counts], axis=1)
    return rows[(counts[1] + counts[2]) > 0].astype(np.float64).reshape(-1)


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns accuracy over all tokens, and mIoU: the mean over classes of hits / (predicted + true - hits).

    Counts are summed over all samples. Classes that are neither predicted nor true in any sample are left out of the
    mean (Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015).

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(summary, [class_counts(np.array([0, 0, 1]), np.array([0, 1, 1]))])  # IoUs of 1/2 and 1/2
    {'miou': 0.5, 'accuracy': 0.6666666666666666}
    """
    tables = [score.reshape(-1, 4) for score in scores]
    classes, *columns = np.concatenate(tables).T
    of_rows = np.repeat(counts_RS, list(map(len, tables)), axis=1)
    hits_RK, predicted_RK, true_RK = (grouped_sums(column, classes.astype(int), of_rows) for column in columns)
    union_RK = predicted_RK + true_RK - hits_RK
    overlap_R = (hits_RK / np.maximum(1, union_RK)).sum(-1)
    return {"miou": ratio(overlap_R, (union_RK > 0).sum(-1)), "accuracy": ratio(hits_RK.sum(-1), true_RK.sum(-1))}
