"""Accuracy and calibration of classes, and areas under the curves of binary classifiers."""

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import grouped_sums, mean, ratio

BINS = 15
"""Bins of equal width in which confidence is compared with accuracy (Guo et al., ICML 2017)."""


def class_scores(logits_BK: Tensor, truth_B: Tensor) -> np.ndarray:
    """Returns per sample (right, confidence, rank, true class), [B, 4] float64, from logits and int64 true classes.

    `right` is 1 or 0, `confidence` the highest probability, `rank` the position of the true class by falling
    probability, from 0; of equal logits the class with the lower number comes first, as in `argmax`.

    >>> class_scores(torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([2])).round(2).tolist()
    [[0.0, 0.67, 1.0, 2.0]]
    """
    logits, truth = logits_BK.cpu(), truth_B.cpu()
    own = logits.gather(1, truth[:, None])
    earlier = torch.arange(logits.shape[1]) < truth[:, None]
    rank = ((logits > own) | ((logits == own) & earlier)).sum(1)
    confidence = logits.double().softmax(1).max(1).values
    scores_B4: np.ndarray = torch.stack([rank == 0, confidence, rank, truth], dim=1).double().numpy()
    return scores_B4


def class_summary(scores: Scores, counts_RS: np.ndarray, *, top: int | None = None) -> dict[str, np.ndarray]:
    """Returns accuracy, balanced accuracy (the mean over classes), calibration error, and with `top` top-k accuracy.

    >>> answers = class_scores(torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1, 1]))
    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> {name: round(value, 3) for name, value in point_estimate(class_summary, answers).items()}
    {'accuracy': 0.667, 'balanced_accuracy': 0.75, 'calibration_error': -0.255}
    """
    right, confidence, rank, truth = np.asarray(scores).T
    classes = truth.astype(int)
    totals_RK, hits_RK = (grouped_sums(values, classes, counts_RS) for values in (np.ones_like(right), right))
    return {
        "accuracy": mean(right, counts_RS),
        **({f"top_{top}": mean(rank < top, counts_RS)} if top else {}),
        "balanced_accuracy": ratio((hits_RK / np.maximum(totals_RK, 1)).sum(-1), (totals_RK > 0).sum(-1)),
        "calibration_error": calibration_error(confidence, right, counts_RS),
    }


def calibration_error(confidence_S: np.ndarray, right_S: np.ndarray, counts_RS: np.ndarray) -> np.ndarray:
    """Returns the debiased calibration error of each resample, [R].

    It is the root of the mean of (accuracy - confidence)² over 15 bins of confidence, weighted by their size, where the
    square of each bin is less the variance of its accuracy: the debiased estimator of Kumar, Liang and Ma, "Verified
    Uncertainty Calibration" (NeurIPS 2019). The mean of |accuracy - confidence| would be large for few
    samples however good the confidence is. Negative, the root of what is missing, where the bins are nearer than
    chance lets them be. Bins of one sample, whose variance is not known, are left out.

    >>> sure, right = np.array([0.9, 0.9, 0.9, 0.9]), np.array([1.0, 0.0, 1.0, 0.0])
    >>> calibration_error(sure, right, np.array([[1, 1, 1, 1]])).round(4)  # √(0.4² - 0.25 / 3)
    array([0.2769])
    """
    bins = np.minimum((confidence_S * BINS).astype(int), BINS - 1)
    sums = [
        grouped_sums(values, bins, counts_RS) for values in (right_S - confidence_S, right_S, np.ones_like(right_S))
    ]
    away_RK, accuracy_RK = (own / np.maximum(sums[2], 1) for own in sums[:2])
    variance_RK = accuracy_RK * (1 - accuracy_RK) / np.maximum(sums[2] - 1, 1)
    known_RK = np.where(sums[2] > 1, sums[2], 0)
    square_R = ratio((known_RK * (away_RK**2 - variance_RK)).sum(-1), known_RK.sum(-1))
    error_R: np.ndarray = np.sign(square_R) * np.sqrt(np.abs(square_R))
    return error_R


def binary_scores(logits_B: Tensor, truth_B: Tensor) -> np.ndarray:
    """Returns per sample (truth, logit of "yes"), [B, 2] float64; the truth is 1 for yes and 0 for no."""
    scores_B2: np.ndarray = torch.stack([truth_B.cpu().double(), logits_B.cpu().double()], dim=1).numpy()
    return scores_B2


def binary_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns AUROC, AUPRC (average precision), accuracy at a probability of 0.5, and calibration error of "yes".

    AUROC is undefined where only one answer is true, AUPRC where none is yes, and the last where no two samples are of
    about the same probability.

    >>> scores = np.array([[0.0, -1.4], [1.0, 0.4], [0.0, 0.8], [1.0, 2.2]])
    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> {name: round(value, 3) for name, value in point_estimate(binary_summary, scores).items()}
    {'auroc': 0.75, 'auprc': 0.833, 'accuracy': 0.75}
    """
    truth, logits = np.asarray(scores).T
    ranks = np.unique(logits, return_inverse=True)[1]  # of probabilities they would not do, which are rounded
    yes, every = (grouped_sums(values, ranks, counts_RS) for values in (truth, np.ones_like(truth)))
    right = (logits >= 0) == (truth == 1)
    return {
        "auroc": auroc(yes, every - yes),
        "auprc": average_precision(yes, every),
        "accuracy": mean(right, counts_RS),
        "calibration_error": calibration_error(expit(logits), truth, counts_RS),
    }


def auroc(yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """Returns the area under the ROC curve of each resample, [R].

    It is how often a "yes" has a higher score than a "no", equal ones counting half (Hanley and McNeil, "The Meaning
    and Use of the Area under a ROC Curve", Radiology 1982).

    Args:
        yes: Numbers of samples whose answer is yes by resample and distinct score, in rising order of scores.
        no: Numbers of samples whose answer is no, likewise.

    >>> auroc(np.array([[0, 1]]), np.array([[1, 1]]))
    array([0.75])
    """
    return ratio((yes * (no.cumsum(-1) - no / 2)).sum(-1), yes.sum(-1) * no.sum(-1))


def average_precision(yes: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Returns the average precision of each resample, [R].

    It is Σ (recall_n - recall_(n-1)) precision_n over falling scores, without interpolation: the mean, over samples
    whose answer is yes, of the precision among all samples with at least as high a score. Equal to scikit-learn's
    `average_precision_score`.

    Args:
        yes: Numbers of samples whose answer is yes by resample and distinct score, in rising order of scores.
        every: Numbers of all samples, likewise.

    >>> average_precision(np.array([[1, 0, 1]]), np.array([[1, 1, 1]])).round(3)  # 1/1 and 2/3
    array([0.833])
    """
    precision = yes[:, ::-1].cumsum(-1) / np.maximum(1, every[:, ::-1].cumsum(-1))
    return ratio((precision * yes[:, ::-1]).sum(-1), yes.sum(-1))
