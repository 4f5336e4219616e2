"""Right and wrong answers, how surely they are given, and how well scores tell two answers apart."""

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from foresight_probes.scores import Scores

BINS = 15
"""Of equal width, in which confidence is compared with accuracy (Guo et al., ICML 2017)."""


def choices(logits: Tensor, truth: Tensor) -> np.ndarray:
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
    found: np.ndarray = torch.stack([rank == 0, confidence, rank, truth], dim=1).double().numpy()
    return found


def choice_summary(scores: Scores, *, top: int | None = None) -> dict[str, float]:
    """Accuracy, balanced accuracy (the mean over classes), expected calibration error, and with `top` accuracy in it.

    >>> answers = choices(torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1, 1]))
    >>> {name: round(value, 3) for name, value in choice_summary(answers).items()}
    {'accuracy': 0.667, 'balanced_accuracy': 0.75, 'calibration_error': 0.214}
    """
    right, confidence, rank, truth = np.asarray(scores).T
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


def verdicts(logits: Tensor, truth: Tensor) -> np.ndarray:
    """What the metrics need to know of yes-or-no answers: per sample (truth, logit of yes).

    Args:
        logits: [B] float.
        truth: [B], 1 for yes and 0 for no.
    """
    found: np.ndarray = torch.stack([truth.cpu().double(), logits.cpu().double()], dim=1).numpy()
    return found


def verdict_summary(scores: Scores) -> dict[str, float]:
    """AUROC, AUPRC (average precision), accuracy at a probability of 0.5, and calibration error of "yes".

    AUROC is undefined where only one answer is true, and AUPRC where none is yes; they are left out there.

    >>> some = [np.array(pair) for pair in ([0.0, -1.4], [1.0, 0.4], [0.0, 0.8], [1.0, 2.2])]
    >>> {name: round(value, 3) for name, value in verdict_summary(some).items()}
    {'auroc': 0.75, 'auprc': 0.833, 'accuracy': 0.75, 'calibration_error': 0.347}
    """
    truth, logits = np.asarray(scores).T
    ranks = np.unique(logits, return_inverse=True)[1]  # probabilities would not do: they are rounded
    yes, every = np.bincount(ranks, weights=truth), np.bincount(ranks)
    found = {}
    if 0 < truth.mean() < 1:
        found["auroc"] = auroc(yes, every - yes)
    if truth.any():
        found["auprc"] = average_precision(yes, every)
    probability = expit(logits)
    right = (logits >= 0) == (truth == 1)
    return {**found, "accuracy": float(right.mean()), "calibration_error": calibration_error(probability, truth)}


def auroc(yes: np.ndarray, no: np.ndarray) -> float:
    """How often a "yes" has a higher score than a "no", equal ones counting half, which is the area under ROC's curve.

    Hanley and McNeil, "The Meaning and Use of the Area under a ROC Curve" (Radiology 1982). Libraries take
    milliseconds, and the interval of every run asks a thousand times.

    Args:
        yes: [S] how many samples whose answer is yes have each of the scores, which rise.
        no: [S] the same for no.

    >>> auroc(np.array([0, 1]), np.array([1, 1]))
    0.75
    """
    return float(yes @ (no.cumsum() - no / 2) / (yes.sum() * no.sum()))


def average_precision(yes: np.ndarray, every: np.ndarray) -> float:
    """The mean over samples whose answer is yes of the share of yes among all with at least as high a score.

    Args:
        yes: [S] how many samples whose answer is yes have each of the scores, which rise.
        every: [S] how many samples have it.

    >>> average_precision(np.array([1, 0, 1]), np.array([1, 1, 1]))  # 1/1 and 2/3
    0.8333333333333333
    """
    precision = yes[::-1].cumsum() / every[::-1].cumsum()
    return float(precision @ yes[::-1] / yes.sum())
