"""Gram matrices against sums over places, and what their distance does not see."""

import numpy as np
import pytest
import torch

from foresight_probes.metrics.gram import gram_distance, gram_matrix


def maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_gram_matrix_is_the_mean_product_of_channels() -> None:
    some = maps(0, 2, 3, 4, 5)
    expected = np.mean([np.einsum("bi,bj->bij", cell, cell) for cell in some.flatten(2).permute(2, 0, 1).numpy()], 0)
    np.testing.assert_allclose(gram_matrix(some).numpy(), expected, rtol=1e-5)


def test_the_distance_by_hand() -> None:
    """Two layers; in each the Frobenius norm of the difference over the sum of the norms."""
    one, other = [maps(1, 1, 3, 4, 4), maps(2, 1, 5, 2, 2)], [maps(3, 1, 3, 4, 4), maps(4, 1, 5, 2, 2)]
    expected = []
    for first, second in zip(one, other, strict=True):
        a, b = ((x[0].flatten(1) @ x[0].flatten(1).T / x[0, 0].numel()).numpy() for x in (first, second))
        expected.append(np.sqrt(((a - b) ** 2).sum()) / (np.sqrt((a**2).sum()) + np.sqrt((b**2).sum())))
    assert gram_distance(one, other).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_places_do_not_matter_and_channels_do() -> None:
    some = maps(0, 2, 6, 4, 4)
    moved = some.flatten(2)[:, :, torch.randperm(16, generator=torch.Generator().manual_seed(1))].unflatten(2, (4, 4))
    assert gram_distance([some], [moved]).max() < 1e-6
    assert gram_distance([some], [some.roll(1, dims=1)]).min() > 0.01
    assert gram_distance([some], [torch.zeros_like(some)]).tolist() == pytest.approx([1, 1])
    assert gram_distance([0 * some], [0 * some]).tolist() == [0, 0]
