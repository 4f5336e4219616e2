"""Votes of kept tokens, against plain loops and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from foresight_probes.training_free import token_memory
from foresight_probes.training_free.token_memory import TokenMemory


def drawn(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    classes = generator.integers(-1, 4, rows)
    centres = np.random.default_rng(7).normal(size=(5, 10))
    return (centres[classes] + 0.9 * generator.normal(size=(rows, 10))).astype(np.float32), classes


def straightforward(
    kept: np.ndarray, known: np.ndarray, own: np.ndarray, neighbours: int, heat: float, classes: int = 4
) -> np.ndarray:
    """The same token by token, as it would be written down."""
    shares = np.zeros((len(own), classes))
    for row, token in enumerate(own.astype(float)):
        cosines = []
        for other, number in zip(kept.astype(float), known, strict=True):
            if number >= 0:
                cosines.append((token @ other / math.sqrt((token @ token) * (other @ other)), number))
        nearest = sorted(cosines, reverse=True)[:neighbours]
        weights = [math.exp(cosine / heat) for cosine, _ in nearest]
        for weight, (_, number) in zip(weights, nearest, strict=True):
            shares[row, number] += weight / sum(weights)
    return shares


@pytest.mark.parametrize(("neighbours", "heat"), [(30, 0.02), (1, 0.07), (500, 1.0)])
def test_vote_by_vote(neighbours: int, heat: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_memory, "_PIECE", 13)
    kept, classes = drawn(0, 120)
    own, _ = drawn(1, 40)
    found = TokenMemory.of(kept, classes).votes(own, 4, neighbours=neighbours, temperature=heat)
    assert found == pytest.approx(straightforward(kept, classes, own, neighbours, heat), abs=1e-4)
    assert found.sum(1) == pytest.approx(np.ones(40), abs=1e-5)


def test_the_nearest_token_against_scikit_learn() -> None:
    kept, classes = drawn(0, 300)
    own, _ = drawn(1, 100)
    known = classes >= 0
    other = KNeighborsClassifier(1, metric="cosine").fit(kept[known], classes[known])
    found = TokenMemory.of(kept, classes).votes(own, 4, neighbours=1).argmax(1)
    assert np.array_equal(found, other.predict(own))


def test_tokens_without_a_class_do_not_vote() -> None:
    tokens = np.eye(3, dtype=np.float32)
    memory = TokenMemory.of(tokens, np.array([-1, 1, 0]))
    assert len(memory.classes_M) == 2
    assert memory.votes(tokens[:1], 2, neighbours=5).tolist() == [[0.5, 0.5]]
