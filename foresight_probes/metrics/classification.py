"""Right and wrong answers, how surely they are given, and how well scores tell two answers apart."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

BINS = 15
"""Of equal width, in which confidence is compared with accuracy (Guo et al., ICML 2017)."""


def choices(logits: Tensor, truth: Tensor) -> list[np.ndarray]:
    """What the metrics need to know of answers to one of C classes: per sample (right, confidence, rank, class).

    Args:
        logits: [B, C] float.
        truth: [B] int64, the true class.

    `right` is 1 or 0, `confidence` the highest probability, `rank` the place of the true class by falling
    probability, from 0; of equal logits the class with the lower number comes first, as in `argmax`.

    >>> [found.round(2).tolist() for found in choices(torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([2]))]
    [[0.0, 0.67, 1.0, 2.0]]
    """
    logits, truth = logits.cpu(), truth.cpu()
    own = logits.gather(1, truth[:, None])
    earlier = torch.arange(logits.shape[1]) < truth[:, None]
    rank = ((logits > own) | ((logits == own) & earlier)).sum(1)
    confidence = logits.double().softmax(1).max(1).values
    return list(torch.stack([rank == 0, confidence, rank, truth], dim=1).double().numpy())


def choice_summary(scores: Sequence[np.ndarray], *, top: int | None = None) -> dict[str, float]:
    """Accuracy, balanced accuracy (the mean over classes), expected calibration error, and with `top` accuracy in it.

    >>> answers = choices(torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1, 1]))
    >>> {name: round(value, 3) for name, value in choice_summary(answers).items()}
    {'accuracy': 0.667, 'balanced_accuracy': 0.75, 'calibration_error': 0.214}
    """
    right, confidence, rank, truth = np.stack(scores).T
    times = np.bincount(truth.astype(int))
    of_class = np.bincount(truth.astype(int), weights=right)[times > 0] / times[times > 0]
    return {
        "accuracy": float(right.mean()),
        **({f"top_{top}": float((rank < top).mean())} if top else {}),
        "balanced_accuracy": float(of_class.mean()),
        "calibration_error": calibration_error(confidence, right),
    }


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: |accuracy - confidence| in each of 15 bins of confidence, weighted by their size.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).

    >>> calibration_error(np.array([0.9, 0.9, 0.5]), np.array([1.0, 0.0, 1.0]))  # 2/3 · |0.5 - 0.9| + 1/3 · |1 - 0.5|
    0.43333333333333335
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def verdicts(logits: Tensor, truth: Tensor) -> list[np.ndarray]:
    """What the metrics need to know of yes-or-no answers: per sample (truth, logit of yes).

    Args:
        logits: [B] float.
        truth: [B], 1 for yes and 0 for no.
    """
    return list(torch.stack([truth.cpu().double(), logits.cpu().double()], dim=1).numpy())


def verdict_summary(scores: Sequence[np.ndarray]) -> dict[str, float]:
    """AUROC, AUPRC (average precision), accuracy at a probability of 0.5, and calibration error of "yes".

    AUROC is undefined where only one answer is true, and AUPRC where none is yes; they are left out there.

    >>> some = [np.array(pair) for pair in ([0.0, -1.4], [1.0, 0.4], [0.0, 0.8], [1.0, 2.2])]
    >>> {name: round(value, 3) for name, value in verdict_summary(some).items()}
    {'auroc': 0.75, 'auprc': 0.833, 'accuracy': 0.75, 'calibration_error': 0.347}
    """
    truth, logits = np.stack(scores).T
    # Ranks have the order of the logits exactly; probabilities are rounded, so that equal ones may come out unequal
    ranks = np.unique(logits, return_inverse=True)[1] / len(logits)
    answers, sure = torch.from_numpy(truth).long(), torch.from_numpy(ranks)
    found = {}
    if 0 < truth.mean() < 1:
        found["auroc"] = float(binary_auroc(sure, answers))
    if truth.any():
        found["auprc"] = float(binary_average_precision(sure, answers))
    probability = expit(logits)
    right = (logits >= 0) == (truth == 1)
    return {**found, "accuracy": float(right.mean()), "calibration_error": calibration_error(probability, truth)}
