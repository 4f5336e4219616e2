"""Linear CKA from sums over one pass, against its kernel form over all pairs of rows."""

import math

import numpy as np
import pytest
import torch

from foresight_probes.metrics.similarity_metrics import CrossProducts, linear_cka, noise_cka


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kernel_cka(first: np.ndarray, second: np.ndarray) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with linear kernels between all pairs of samples."""
    centring = np.eye(len(first)) - 1 / len(first)
    one, other = (centring @ x @ x.T @ centring for x in (first, second))
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum()))


def streamed(first: torch.Tensor, second: torch.Tensor) -> float:
    products = CrossProducts([first.shape[1], second.shape[1]], [(0, 0), (0, 1), (1, 1)])
    for start in range(0, len(first), 7):
        products.add([first[start : start + 7], second[start : start + 7]])
    return linear_cka(products.squares(), 0, 1)


def test_cka_equals_its_kernel_form() -> None:
    first = normal(0, 50, 6) + 5
    second = first @ normal(1, 6, 9) + normal(2, 50, 9)
    assert streamed(first, second) == pytest.approx(kernel_cka(first.double().numpy(), second.double().numpy()))


def test_a_large_mean_costs_no_digits() -> None:
    """As of channels with massive activations."""
    first, second = normal(0, 50, 6).double(), normal(1, 50, 9).double()
    assert streamed(first + 1e6, second - 1e6) == pytest.approx(streamed(first, second), rel=1e-8)


def test_cka_sees_neither_rotation_nor_scale_nor_shift() -> None:
    first = normal(0, 60, 5)
    rotation = torch.linalg.qr(normal(1, 5, 5)).Q
    assert streamed(first, 3 * first @ rotation + 2) == pytest.approx(1)
    assert streamed(first, normal(2, 60, 5)) < 0.3
    assert streamed(first, first) == pytest.approx(streamed(first.roll(1, 0), first.roll(1, 0)))


def test_cka_of_features_with_themselves_is_one() -> None:
    assert streamed(normal(0, 60, 5), normal(0, 60, 5)) == 1


@pytest.mark.parametrize("constant", [1.0, 0.1, -3e4])
def test_cka_is_not_defined_where_features_do_not_vary(constant: float) -> None:
    assert math.isnan(streamed(normal(0, 60, 5), torch.full((60, 2), constant)))


def test_noise_is_as_similar_as_is_said() -> None:
    """And nearly 0 where there are many more rows than channels."""
    assert streamed(normal(0, 200, 100), normal(1, 200, 50)) == pytest.approx(
        noise_cka([100, 50], [200, 200]), rel=0.03
    )
    assert streamed(normal(0, 50_000, 4), normal(1, 50_000, 4)) < 0.001
