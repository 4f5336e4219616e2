"""The map of classes, the same for all samples, with the greatest mIoU."""

import numpy as np

MOST_ROUNDS = 20
"""Passes over all cells, each of which may change its class, at most."""

TEMPERS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Powers of a class's overall share by which its share in a cell is divided, for maps to start from: with 0 the most
frequent class of a cell is chosen, with 1 the one that is most more frequent there than elsewhere."""


def best_map(counts_NK: np.ndarray) -> np.ndarray:
    """Returns the class of each cell, [N] int64, by coordinate ascent from several maps.

    mIoU is the mean over classes, those that occur or are chosen, of hits / (chosen + true - hits). The maps that
    are started from are each class alone and the classes of greatest share, tempered by the class's share in all.

    Args:
        counts_NK: Training tokens of each class in each cell.

    >>> best_map(np.array([[9, 1], [8, 2], [2, 3]])).tolist()  # one class alone has an mIoU of 19 / 25 / 2
    [0, 0, 1]
    """
    maps = [_climbed(start, counts_NK) for start in _starts(counts_NK)]
    return max(maps, key=lambda chosen_N: miou(chosen_N, counts_NK))


def miou(classes_N: np.ndarray, counts_NK: np.ndarray) -> float:
    """Returns the mIoU of a map on the tokens that were counted."""
    hits, chosen = _sums(classes_N, counts_NK)
    union = chosen + counts_NK.sum(0) - hits
    return float((hits / np.maximum(union, 1e-12)).sum() / max(1, (union > 0).sum()))


def _starts(counts_NK: np.ndarray) -> list[np.ndarray]:
    overall_K = counts_NK.sum(0)
    frequent = np.argsort(-overall_K, kind="stable")[:8]
    alone = [np.full(len(counts_NK), name) for name in frequent if overall_K[name] > 0]
    shares = [counts_NK / np.maximum(overall_K, 1e-12) ** temper for temper in TEMPERS]
    return [np.zeros(len(counts_NK), np.int64), *alone, *(share.argmax(1) for share in shares)]


def _climbed(classes_N: np.ndarray, counts_NK: np.ndarray) -> np.ndarray:
    """Changes one cell after the other to the class with which mIoU is greatest, until none changes."""
    classes_N = classes_N.copy()
    tokens_N, true_K = counts_NK.sum(1), counts_NK.sum(0)
    hits_K, chosen_K = _sums(classes_N, counts_NK)
    for _ in range(MOST_ROUNDS):
        changed = False
        for cell in np.flatnonzero(tokens_N):
            own, tokens, before = counts_NK[cell], tokens_N[cell], classes_N[cell]
            hits_K[before] -= own[before]
            chosen_K[before] -= tokens
            without_K = _iou(hits_K, chosen_K, true_K)
            gains_K = _iou(hits_K + own, chosen_K + tokens, true_K) - without_K
            # a class that does not occur at all would also be counted from now on
            best = int(np.where(true_K > 0, gains_K, -np.inf).argmax())
            if gains_K[best] <= gains_K[before] + 1e-12 and true_K[before] > 0:
                best = int(before)
            hits_K[best] += own[best]
            chosen_K[best] += tokens
            changed |= best != before
            classes_N[cell] = best
        if not changed:
            break
    return classes_N


def _iou(hits_K: np.ndarray, chosen_K: np.ndarray, true_K: np.ndarray) -> np.ndarray:
    iou_K: np.ndarray = hits_K / np.maximum(chosen_K + true_K - hits_K, 1e-12)
    return iou_K


def _sums(classes_N: np.ndarray, counts_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns hits and chosen tokens of each class, [K] float64 each."""
    size = counts_NK.shape[1]
    own_N = counts_NK[np.arange(len(counts_NK)), classes_N]
    hits = np.bincount(classes_N, own_N, minlength=size)
    return hits, np.bincount(classes_N, counts_NK.sum(1), minlength=size)
