"""The k-NN overlap ratio against sets of neighbours that scikit-learn finds."""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from foresight_probes.training_free.neighbour_overlap import overlap


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def nearest(features: np.ndarray, count: int, rows: int) -> list[set[int]]:
    """Of each row the nearest ones of other samples."""
    found, cosines = [], cosine_similarity(features)
    for row, own in enumerate(cosines):
        others = [other for other in range(len(own)) if other // rows != row // rows]
        found.append(set(sorted(others, key=lambda other: -own[other])[:count]))
    return found


@pytest.mark.parametrize("rows", [1, 4])
def test_shares_of_each_sample(rows: int) -> None:
    before = normal(0, 40, 6)
    after = before @ normal(1, 6, 9) + 2 * normal(2, 40, 9)
    found = overlap(torch.from_numpy(before), torch.from_numpy(after), 5, rows=rows)
    pairs = zip(nearest(before, 5, rows), nearest(after, 5, rows), strict=True)
    shares = np.array([len(one & other) / 5 for one, other in pairs]).reshape(-1, rows).mean(1)
    assert found.shares_S.tolist() == pytest.approx(shares.tolist())
    assert 0.2 < shares.mean() < 0.9
    assert found.p_value == 1 / 200
    assert found.chance == pytest.approx(5 / (40 - rows), abs=0.02)
    assert found.chance < found.threshold < shares.mean()


def test_unrelated_points_have_what_chance_makes() -> None:
    found = overlap(torch.from_numpy(normal(0, 120, 16)), torch.from_numpy(normal(1, 120, 32)), 10)
    assert found.p_value > 0.05
    assert found.shares_S.mean() == pytest.approx(found.chance, abs=0.03)


def test_what_places_have_in_common_is_chance() -> None:
    """Tokens of one place are alike at both points, in whatever picture: the neighbours are shared without any tie."""
    place = 3 * normal(0, 1, 6, 8)
    before, after = ((place + normal(seed, 20, 6, 8)).reshape(120, 8) for seed in (1, 2))
    found = overlap(torch.from_numpy(before), torch.from_numpy(after), 10, rows=6)
    assert found.shares_S.mean() > 0.3
    assert found.chance == pytest.approx(found.shares_S.mean(), abs=0.05)
    assert found.p_value > 0.05
