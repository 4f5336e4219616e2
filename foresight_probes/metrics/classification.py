"""Right and wrong answers, how surely they are given, and how well scores tell two answers apart."""

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from foresight_probes.metrics.resamples import grouped_sums, mean, ratio
from foresight_probes.results.scores import Scores

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


def choice_summary(scores: Scores, counts: np.ndarray, *, top: int | None = None) -> dict[str, np.ndarray]:
    """Accuracy, balanced accuracy (the mean over classes), expected calibration error, and with `top` accuracy in it.

    >>> answers = choices(torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1, 1]))
    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> {name: round(value, 3) for name, value in point_estimate(choice_summary, answers).items()}
    {'accuracy': 0.667, 'balanced_accuracy': 0.75, 'calibration_error': 0.214}
    """
    right, confidence, rank, truth = np.asarray(scores).T
    classes = truth.astype(int)
    times, hits = (grouped_sums(each, classes, counts) for each in (np.ones_like(right), right))
    return {
        "accuracy": mean(right, counts),
        **({f"top_{top}": mean(rank < top, counts)} if top else {}),
        "balanced_accuracy": ratio((hits / np.maximum(times, 1)).sum(-1), (times > 0).sum(-1)),
        "calibration_error": calibration_error(confidence, right, counts),
    }


def calibration_error(confidence: np.ndarray, right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Expected calibration error: |accuracy - confidence| in each of 15 bins of confidence, weighted by their size.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).

    >>> sure, right = np.array([0.9, 0.9, 0.5]), np.array([1.0, 0.0, 1.0])
    >>> calibration_error(sure, right, np.array([[1, 1, 1]])).round(4)  # 2/3 · |0.5 - 0.9| + 1/3 · |1 - 0.5|
    array([0.4333])
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return ratio(np.abs(grouped_sums(right - confidence, bins, counts)).sum(-1), counts.sum(-1))


def verdicts(logits: Tensor, truth: Tensor) -> np.ndarray:
    """What the metrics need to know of yes-or-no answers: per sample (truth, logit of yes).

    Args:
        logits: [B] float.
        truth: [B], 1 for yes and 0 for no.
    """
    found: np.ndarray = torch.stack([truth.cpu().double(), logits.cpu().double()], dim=1).numpy()
    return found


def verdict_summary(scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
    """AUROC, AUPRC (average precision), accuracy at a probability of 0.5, and calibration error of "yes".

    AUROC is undefined where only one answer is true, and AUPRC where none is yes.

    >>> some = np.array([[0.0, -1.4], [1.0, 0.4], [0.0, 0.8], [1.0, 2.2]])
    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> {name: round(value, 3) for name, value in point_estimate(verdict_summary, some).items()}
    {'auroc': 0.75, 'auprc': 0.833, 'accuracy': 0.75, 'calibration_error': 0.347}
    """
    truth, logits = np.asarray(scores).T
    ranks = np.unique(logits, return_inverse=True)[1]  # of probabilities they would not do, which are rounded
    yes, every = (grouped_sums(each, ranks, counts) for each in (truth, np.ones_like(truth)))
    right = (logits >= 0) == (truth == 1)
    return {
        "auroc": auroc(yes, every - yes),
        "auprc": average_precision(yes, every),
        "accuracy": mean(right, counts),
        "calibration_error": calibration_error(expit(logits), truth, counts),
    }


def auroc(yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """How often a "yes" has a higher score than a "no", equal ones counting half, which is the area under ROC's curve.

    Hanley and McNeil, "The Meaning and Use of the Area under a ROC Curve" (Radiology 1982).

    Args:
        yes: [R, S] how many samples whose answer is yes have each of the scores, which rise.
        no: [R, S] the same for no.

    >>> auroc(np.array([[0, 1]]), np.array([[1, 1]]))
    array([0.75])
    """
    return ratio((yes * (no.cumsum(-1) - no / 2)).sum(-1), yes.sum(-1) * no.sum(-1))


def average_precision(yes: np.ndarray, every: np.ndarray) -> np.ndarray:
    """The mean over samples whose answer is yes of the share of yes among all with at least as high a score.

    Args:
        yes: [R, S] how many samples whose answer is yes have each of the scores, which rise.
        every: [R, S] how many samples have it.

    >>> average_precision(np.array([[1, 0, 1]]), np.array([[1, 1, 1]])).round(3)  # 1/1 and 2/3
    array([0.833])
    """
    precision = yes[:, ::-1].cumsum(-1) / np.maximum(1, every[:, ::-1].cumsum(-1))
    return ratio((precision * yes[:, ::-1]).sum(-1), yes.sum(-1))
