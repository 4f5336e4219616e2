"""The protocol of HALP (arXiv 2603.05465, B.1 of its scripts): how its probe is trained and on what it is tested."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from foresight_probes.hallucination.divisions import Division, divide_questions
from foresight_probes.hallucination.questions import checked_labels, checked_vectors, require_both_labels
from foresight_probes.heads.halp_mlp import HIDDEN, HalpNetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the network is trained; the defaults are the paper's."""

    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.001
    seed: int = 42
    """Decides initial weights, order of batches and dropout; the paper does not tell its own."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detection:
    """Probabilities of a hallucination that a detector gave, and which rows it learned from."""

    division: Division
    probabilities: np.ndarray
    """Of the test rows, in their order, float64."""
    training_probabilities: np.ndarray
    """Of the training rows: where they are much better, the detector knows its samples by heart."""
    epoch: int | None = None
    """Epoch whose weights were taken, from 1; None for what has no epochs."""


def halp_protocol(vectors_ND: np.ndarray, labels_N: np.ndarray, *, recipe: Recipe | None = None) -> Detection:
    """Trains and tests as the paper does.

    The vectors are taken as they are, without standardisation; 20 % of the questions are tested, drawn with
    `train_test_split(random_state=42, stratify=label)` whatever image they are about; the weights are those of the last
    epoch; nothing is chosen by validation and classes have no weights.

    Args:
        vectors_ND: One vector for each question, float.
        labels_N: 1 for a hallucinated answer, 0 for another.
        recipe: How the network is trained; the paper's where None.

    Raises: `ProbeError` for labels or vectors that nothing can be learned from.
    """
    labels = checked_labels(labels_N)
    division = divide_questions(labels)
    return trained_detection(vectors_ND, labels, division, recipe=recipe)


def trained_detection(
    vectors_ND: np.ndarray,
    labels_N: np.ndarray,
    division: Division,
    *,
    recipe: Recipe | None = None,
    validation: np.ndarray | None = None,
) -> Detection:
    """Trains on the training rows of a division and answers its test rows.

    `validation` are rows among the training ones that are held out, by whose AUROC the epoch is chosen; with None the
    last epoch is taken. Raises `ProbeError` as `halp_protocol` does.
    """
    vectors, labels = checked_vectors(vectors_ND, labels_N), checked_labels(labels_N)
    learned = division.train if validation is None else np.setdiff1d(division.train, validation)
    held = None if validation is None else (vectors[validation], labels[validation])
    network, epoch = train_network(vectors[learned], labels[learned], recipe=recipe, validation=held)
    return Detection(
        division=division,
        probabilities=probabilities(network, vectors[division.test]),
        training_probabilities=probabilities(network, vectors[division.train]),
        epoch=epoch,
    )


def train_network(
    vectors_ND: np.ndarray,
    labels_N: np.ndarray,
    *,
    recipe: Recipe | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[HalpNetwork, int]:
    """Returns the network with one logit, trained on all rows, and the epoch, from 1, of its weights.

    Binary cross-entropy, Adam, batches in an order that `torch.randperm` draws anew each epoch. Leaves torch's global
    random state as it was.
    """
    require_both_labels(labels_N, "what is trained on")
    own = recipe or Recipe()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(own.seed)
        network = HalpNetwork(vectors_ND.shape[1], nn.Linear(HIDDEN[-1], 1))
    inputs_ND, truth_N = _tensor(vectors_ND), torch.from_numpy(labels_N).float()
    optimiser = torch.optim.Adam(network.parameters(), lr=own.learning_rate, fused=True)
    ordering = torch.Generator().manual_seed(own.seed)
    best: tuple[float, int, dict[str, Tensor]] | None = None
    for epoch in range(1, own.epochs + 1):
        network.train()
        for rows in torch.split(torch.randperm(len(inputs_ND), generator=ordering), own.batch_size):
            loss = functional.binary_cross_entropy_with_logits(network(inputs_ND[rows])[:, 0], truth_N[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        if validation is not None:
            value = float(roc_auc_score(validation[1], probabilities(network, validation[0])))
            if best is None or value > best[0]:
                best = value, epoch, copy.deepcopy(network.state_dict())
    if best is not None:
        network.load_state_dict(best[2])
    return network.eval(), own.epochs if best is None else best[1]


def probabilities(network: HalpNetwork, vectors_ND: np.ndarray) -> np.ndarray:
    """Returns the probability of a hallucination for each vector, [N] float64, as the network says it in evaluation."""
    network.eval()
    with torch.no_grad():
        logits_N = network(_tensor(vectors_ND))[:, 0].double().numpy()
    found: np.ndarray = expit(logits_N)  # in float64, or sure answers would be equal
    return found


def _tensor(vectors_ND: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(vectors_ND, dtype=np.float32))
