"""Logistic regression of the label on vectors, solved, its penalty chosen on training samples that are held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit

from foresight_probes.hallucination.divisions import divide_groups
from foresight_probes.hallucination.questions import checked_labels, checked_vectors, require_both_labels
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.logistic_regression import solve_kept

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Strengths s of the penalty s/2 ‖W‖² on the sum of cross-entropies of two rows of weights; `C = 2/s` of
scikit-learn."""
_CONSTANT = 1e-6
"""Deviation of a channel, in parts of its largest number, up to which it counts as constant."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LogisticDetector:
    """A logistic regression with what standardises its vectors."""

    mean_D: np.ndarray
    scale_D: np.ndarray
    weight_D: np.ndarray
    bias: float
    penalty: float

    def probabilities(self, vectors_ND: np.ndarray) -> np.ndarray:
        """Returns the probability of a hallucination for each vector, [N] float64."""
        found: np.ndarray = expit(self.logits(vectors_ND))
        return found

    def logits(self, vectors_ND: np.ndarray) -> np.ndarray:
        """Returns the log-odds of a hallucination for each vector, [N] float64."""
        logits_N: np.ndarray = (vectors_ND.astype(np.float64) - self.mean_D) / self.scale_D @ self.weight_D + self.bias
        return logits_N


def fit_logistic(
    vectors_ND: np.ndarray,
    labels_N: np.ndarray,
    groups: Sequence[str],
    *,
    penalties: Sequence[float] = PENALTIES,
    standardised: bool = True,
    seed: int = 0,
) -> LogisticDetector:
    """Fits on all rows, with the penalty of the least cross-entropy on a fifth of the groups that was held out.

    Args:
        vectors_ND: One vector for each training sample, float.
        labels_N: 1 for a hallucinated answer, 0 for another.
        groups: Group of each; a group is held out as a whole.
        penalties: Strengths to choose from; a single one is taken without choosing.
        standardised: Whether channels are brought to mean 0 and deviation 1 of the rows that are fitted.
        seed: Decides which groups are held out.

    Raises: `ProbeError` for vectors or labels that nothing can be learned from.
    """
    vectors, labels = checked_vectors(vectors_ND, labels_N), checked_labels(labels_N)
    require_both_labels(labels, "what is fitted")
    chosen = tuple(penalties)
    if len(chosen) > 1:
        division = divide_groups(labels, groups, share=0.2, seed=seed)
        tried = _solved(vectors[division.train], labels[division.train], chosen, standardised)
        losses = [_loss(own, vectors[division.test], labels[division.test]) for own in tried]
        chosen = (chosen[int(np.argmin(losses))],)
    return _solved(vectors, labels, chosen, standardised)[0]


def _solved(
    vectors_ND: np.ndarray, labels_N: np.ndarray, penalties: Sequence[float], standardised: bool
) -> list[LogisticDetector]:
    inputs_ND = vectors_ND.astype(np.float64)
    mean_D, scale_D = channel_scales(inputs_ND)
    scale_D = scale_D if standardised else np.ones_like(scale_D)
    # without standardisation only the origin moves, which a bias without penalty makes good
    inputs = torch.from_numpy((inputs_ND - mean_D) / scale_D)
    settings = {"classes": 2, "penalties": tuple(penalties)}
    solutions: list[LinearSolution] = solve_kept(inputs, torch.from_numpy(labels_N), settings)
    return [
        LogisticDetector(
            mean_D=mean_D,
            scale_D=scale_D,
            weight_D=(own.weight[1] - own.weight[0]).numpy(),
            bias=float(own.bias[1] - own.bias[0]),
            penalty=penalty,
        )
        for penalty, own in zip(penalties, solutions, strict=True)
    ]


def _loss(detector: LogisticDetector, vectors_ND: np.ndarray, labels_N: np.ndarray) -> float:
    """Returns the mean cross-entropy in nats."""
    signed_N = np.where(labels_N == 1, -1.0, 1.0) * detector.logits(vectors_ND)
    return float(np.logaddexp(0.0, signed_N).mean())


def channel_scales(vectors_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each channel, [D] float64 each; the deviation of a constant one is 1.

    >>> channel_scales(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 1.]))
    """
    inputs_ND = vectors_ND.astype(np.float64)
    mean_D, deviation_D = inputs_ND.mean(0), inputs_ND.std(0)
    varies_D = deviation_D > _CONSTANT * np.abs(inputs_ND).max(0, initial=0.0)
    return mean_D, np.where(varies_D, deviation_D, 1.0)
