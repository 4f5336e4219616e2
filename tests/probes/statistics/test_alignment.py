"""Alignment of matrices and its permutation test, against brute force, exact moments and what must not be found."""

from itertools import permutations as all_orders

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from foresight_probes.statistics.alignment import (
    AlignmentTest,
    compare_with_chance,
    debiased_gram,
    gram,
    neighbours,
)
from tests.probes.metrics.test_similarity import kernel_cka


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def compared(first: Tensor, second: Tensor, *, permutations: int = 99, rows: int = 1, seed: int = 0) -> AlignmentTest:
    return compare_with_chance([gram(first)], [gram(second)], permutations=permutations, rows=rows, seed=seed)


def test_linear_cka_against_its_kernel_form() -> None:
    first = normal(0, 40, 6) + 100
    second = first @ normal(1, 6, 9) + normal(2, 40, 9)
    value = compared(first, second, permutations=1).values_PQ[0, 0]
    assert value == pytest.approx(kernel_cka(first.numpy(), second.numpy()), abs=1e-6)


def test_common_neighbours_against_scikit_learn() -> None:
    first = normal(0, 60, 5) + 1
    second = first + 0.5 * normal(1, 60, 5)
    sets = []
    for features in (first, second):
        found = NearestNeighbors(n_neighbors=11, metric="cosine").fit(features).kneighbors(return_distance=False)
        sets.append([set(row[:10]) for row in found])
    expected = np.mean([len(one & other) / 10 for one, other in zip(*sets, strict=True)])
    matrices = [neighbours(features, 10) for features in (first, second)]
    test = compare_with_chance(matrices[:1], matrices[1:], permutations=500)
    assert 0.2 < expected < 0.9
    assert test.values_PQ[0, 0] == pytest.approx(expected, abs=1e-6)
    assert test.chance_PQ[0, 0] == pytest.approx(10 / 59, abs=0.01), "each of 59 others is as likely"


def test_all_orders_of_five_by_brute_force() -> None:
    """P-value and mean over all 120 orders, each taken by numpy from the features themselves."""
    first, second = normal(0, 5, 3), normal(0, 5, 3)[:, :2] + 1.5 * normal(1, 5, 2)
    values = [kernel_cka(first.numpy(), second[list(order)].numpy()) for order in all_orders(range(5))]
    test = compared(first, second, permutations=4000)
    assert test.chance_PQ[0, 0] == pytest.approx(np.mean(values), abs=0.01)
    assert test.p_values_PQ[0, 0] == pytest.approx(np.mean(np.array(values) >= values[0] - 1e-9), abs=0.03)


def test_the_mean_by_chance_is_that_of_theory() -> None:
    """tr(K) tr(L) / (n - 1) for centred kernels (Kazi-Aoual et al. 1995), over their norms."""
    first, second = normal(0, 30, 200), normal(1, 30, 50)
    kernels = [gram(features).double() for features in (first, second)]
    expected = float(kernels[0].trace() * kernels[1].trace() / 29)
    assert compared(first, second, permutations=300).chance_PQ[0, 0] == pytest.approx(expected, abs=0.005)


def test_wide_features_of_few_samples_are_alike_by_chance() -> None:
    test = compared(normal(0, 30, 600), normal(1, 30, 600), permutations=199)
    assert test.values_PQ[0, 0] > 0.9
    assert test.chance_PQ[0, 0] == pytest.approx(test.values_PQ[0, 0], abs=0.02)
    assert test.p_values_PQ[0, 0] > 0.05


@pytest.mark.parametrize("measure", [gram, lambda features: neighbours(features, 5)])
def test_unrelated_features_are_found_at_the_level(measure: object) -> None:
    """Five of a hundred; of 300 draws, fewer than 4 or more than 29 would come with a probability below 0.001."""
    assert callable(measure)
    p_values = [
        compare_with_chance(
            [measure(normal(2 * draw, 25, 8))], [measure(normal(2 * draw + 1, 25, 8))], permutations=59, seed=draw
        ).p_values_PQ[0, 0]
        for draw in range(300)
    ]
    assert 4 <= np.sum(np.array(p_values) <= 0.05) <= 29


def test_equal_features_have_the_least_p_value() -> None:
    features = normal(0, 50, 8)
    for measure in (gram, debiased_gram, lambda rows: neighbours(rows, 10)):
        test = compare_with_chance([measure(features)], [measure(2 * features)], permutations=99)
        assert (test.values_PQ[0, 0], test.p_values_PQ[0, 0]) == (pytest.approx(1), 0.01)
        assert (test.calibrated_PQ[0, 0], test.corrected_PQ[0, 0]) == (pytest.approx(1), 0.01)


def of_samples(seed: int, *, places: int = 12) -> Tensor:
    """Tokens of 16 samples that are like each other within a sample."""
    return (normal(seed, 16, 1, 4) + 0.3 * normal(seed + 1, 16, places, 4)).reshape(-1, 4)


def test_tokens_of_a_sample_stay_together() -> None:
    """Exchanged one by one, unrelated tokens would nearly always look related."""
    whole, alone = (
        np.mean(
            [compared(of_samples(4 * k), of_samples(4 * k + 2), rows=rows).p_values_PQ[0, 0] <= 0.05 for k in range(60)]
        )
        for rows in (12, 1)
    )
    assert whole <= 9 / 60, "ten and more would come with a probability of 0.001"
    assert alone > 0.5


def test_what_places_have_in_common_is_no_similarity_of_samples() -> None:
    place = normal(0, 1, 12, 4)
    first, second = ((place + 0.5 * normal(seed, 16, 12, 4)).reshape(-1, 4) for seed in (1, 2))
    test = compared(first, second, rows=12)
    assert test.values_PQ[0, 0] > 0.5
    assert test.chance_PQ[0, 0] == pytest.approx(test.values_PQ[0, 0], abs=0.03)


def test_features_that_do_not_vary_or_are_not_finite_are_undefined() -> None:
    varying, constant, infinite = normal(0, 6, 3), torch.full((6, 3), 7.0), normal(1, 6, 3)
    infinite[2, 1] = torch.inf
    for measure in (gram, debiased_gram, lambda rows: neighbours(rows, 2)):
        test = compare_with_chance(
            [measure(varying)], [measure(rows) for rows in (varying, constant, infinite)], permutations=9
        )
        parts = (test.values_PQ, test.chance_PQ, test.p_values_PQ, test.threshold_PQ, test.calibrated_PQ)
        for part in (*parts, test.corrected_PQ):
            assert np.isnan(part).tolist() == [[False, True, True]]
