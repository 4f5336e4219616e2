"""Norms, ranks and angles of tokens, against scikit-learn, SciPy and plain loops."""

import math

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.decomposition import PCA

from foresight_probes.training_free import token_spectra as spectra


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(200, 12), (20, 90)])
def test_the_effective_rank_of_principal_components(shape: tuple[int, int]) -> None:
    tokens = normal(0, *shape) * np.linspace(0.1, 3, shape[1]) + 7
    shares = PCA().fit(tokens).explained_variance_ratio_
    assert spectra.effective_rank(tokens) == pytest.approx(math.exp(entropy(shares)))


def test_the_effective_rank_counts_planted_directions() -> None:
    tokens = normal(0, 5000, 6) @ np.linalg.qr(normal(1, 40, 6))[0].T
    assert spectra.effective_rank(tokens) == pytest.approx(6, abs=0.05)
    assert math.isnan(spectra.effective_rank(np.ones((5, 3))))


def angle(first: np.ndarray, second: np.ndarray) -> float:
    product = sum(a * b for a, b in zip(first, second, strict=True))
    return math.degrees(math.acos(product / math.dist(first, 0 * first) / math.dist(second, 0 * second)))


def test_curvature_step_by_step() -> None:
    tokens = normal(0, 9, 4)
    steps = [tokens[k + 1] - tokens[k] for k in range(8)]
    expected = sum(angle(steps[k], steps[k + 1]) for k in range(7)) / 7
    assert spectra.curvature(tokens) == pytest.approx(expected)
    assert spectra.curvature(np.arange(12.0).reshape(6, 2)) == pytest.approx(0, abs=1e-5), "a straight line"
    assert math.isnan(spectra.curvature(tokens[:2]))


def test_tokens_in_any_order_turn_by_120_degrees() -> None:
    assert spectra.curvature(normal(0, 2000, 500)) == pytest.approx(120, abs=0.5)


def test_equal_tokens_in_a_row_have_no_direction_there() -> None:
    tokens = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert spectra.curvature(tokens) == pytest.approx(90)


def test_outliers_and_the_strongest_channel() -> None:
    tokens = normal(0, 100, 30)
    tokens[:4] *= 10
    lengths = spectra.norms(tokens)
    assert lengths.tolist() == pytest.approx([math.sqrt(sum(value**2 for value in token)) for token in tokens])
    assert spectra.outlier_share(lengths, float(np.median(lengths))) == 0.04
    tokens = np.ones((10, 5))
    tokens[:, 2] = 4
    assert spectra.strongest_channel(tokens) == pytest.approx(16 / 20)
    assert math.isnan(spectra.strongest_channel(0 * tokens))
