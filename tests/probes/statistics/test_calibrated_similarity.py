"""Debiased CKA, thresholds and corrected p-values, against formulas term by term and against noise of many widths."""

import math
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from foresight_probes.statistics.alignment import compare_with_chance, debiased_gram, gram, neighbours
from tests.probes.metrics.test_similarity import kernel_cka

MEASURES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "cka": gram,
    "debiased": debiased_gram,
    "neighbours": lambda rows: neighbours(rows, 10),
}
WIDTHS = (64, 256, 1280, 3584)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def hsic(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased estimate as means over tuples of different samples, from which Song et al. (2012) derive theirs."""
    one, other = first @ first.T, second @ second.T
    samples = range(len(one))
    pairs = [one[i, j] * other[i, j] for i, j in product(samples, repeat=2) if i != j]
    quads, triples = [], []
    for i, j, q in product(samples, repeat=3):
        if len({i, j, q}) == 3:
            triples.append(one[i, j] * other[i, q])
            quads += [one[i, j] * other[q, r] for r in samples if r not in (i, j, q)]
    return float(np.mean(pairs) + np.mean(quads) - 2 * np.mean(triples))


def test_debiased_cka_by_all_tuples_of_samples() -> None:
    first = normal(0, 9, 30)
    second = first[:, :12] + 2 * normal(1, 9, 12) + 5
    expected = hsic(first, second) / math.sqrt(hsic(first, first) * hsic(second, second))
    test = compare_with_chance(
        [debiased_gram(torch.from_numpy(first))], [debiased_gram(torch.from_numpy(second))], permutations=1
    )
    assert test.values_PQ[0, 0] == pytest.approx(expected, abs=1e-6)
    assert abs(expected) < 0.9


def test_debiased_cka_of_wide_noise_is_zero_on_average() -> None:
    """Of 40 draws, whose mean has a standard error of about 0.004; CKA itself is at 0.98."""
    drawn = [[torch.from_numpy(normal(2 * draw + side, 20, 1024)) for side in (0, 1)] for draw in range(40)]
    biased, debiased = (
        [float((measure(one) * measure(other)).sum()) for one, other in drawn] for measure in (gram, debiased_gram)
    )
    assert np.mean(biased) > 0.95
    assert abs(np.mean(debiased)) < 5 * np.std(debiased) / math.sqrt(40)
    assert np.std(debiased) < 0.1


def test_thresholds_and_corrected_p_values_step_by_step() -> None:
    """Two points with three others and the same exchanges, from the features themselves."""
    firsts = [normal(seed, 12, width) for seed, width in ((0, 3), (1, 40))]
    seconds = [firsts[0] + 0.8 * normal(2, 12, 3), normal(3, 12, 100), normal(4, 12, 2)]
    test = compare_with_chance(
        *([gram(torch.from_numpy(each)) for each in side] for side in (firsts, seconds)), permutations=39, seed=5
    )
    generator = np.random.default_rng(5)
    orders = [np.arange(12), *(generator.permutation(12) for _ in range(39))]
    draws = np.array([[[kernel_cka(one, each[order]) for each in seconds] for one in firsts] for order in orders])
    most = np.max((draws - draws.mean(0)) / draws.std(0), axis=(1, 2))
    for i, j in product(range(2), range(3)):
        threshold = sorted(draws[:, i, j])[37]
        value = draws[0, i, j]
        assert test.threshold_PQ[i, j] == pytest.approx(threshold, abs=1e-6), "two of forty lie above"
        assert test.calibrated_PQ[i, j] == pytest.approx(max(0, value - threshold) / (1 - threshold), abs=1e-5)
        own = (value - draws[:, i, j].mean()) / draws[:, i, j].std()
        assert test.corrected_PQ[i, j] == pytest.approx(np.mean(most >= own - 1e-6))
    assert test.corrected_PQ[0, 0] == 1 / 40
    assert (test.corrected_PQ >= test.p_values_PQ - 1e-9).all()


def test_pairs_that_are_not_counted_change_no_corrected_p_value() -> None:
    """Nor have they one; a single pair is corrected for nothing."""
    firsts = [gram(torch.from_numpy(normal(seed, 15, 4))) for seed in (0, 1)]
    counted = np.array([[False, True], [False, False]])
    test = compare_with_chance(firsts, firsts, permutations=59, counted_PQ=counted)
    assert np.isnan(test.corrected_PQ).tolist() == (~counted).tolist()
    assert test.corrected_PQ[0, 1] == test.p_values_PQ[0, 1]


def rejections(seed: int, draws: int, *, rows: int = 40, permutations: int = 99) -> tuple[dict[str, int], int]:
    """Of unrelated noise of all widths with that of the next: pairs rejected by each measure, and draws by any pair."""
    generator = torch.Generator().manual_seed(seed)
    found, any_pair = dict.fromkeys(MEASURES, 0), 0
    for draw in range(draws):
        firsts, seconds = ([torch.randn(rows, width, generator=generator) for width in WIDTHS] for _ in range(2))
        corrected = []
        for name, measure in MEASURES.items():
            test = compare_with_chance(
                *([measure(each) for each in side] for side in (firsts, seconds)), permutations=permutations, seed=draw
            )
            found[name] += int((np.diag(test.p_values_PQ) <= 0.05).sum())
            corrected.append(np.nanmin(test.corrected_PQ) <= 0.05)
        any_pair += sum(corrected)
    return found, any_pair


@pytest.mark.parametrize(
    "draws", [pytest.param(40, id="few"), pytest.param(2500, id="many", marks=pytest.mark.simulation)]
)
def test_noise_of_all_widths_is_found_at_the_level(draws: int) -> None:
    """Four to six of a hundred, of pairs and of the least corrected p-value; of few draws 3.5 standard errors of these.

    Pairs of one draw are of unrelated noise, so that they count one by one; of the three measures of one draw not.
    """
    found, any_pair = rejections(0, draws)
    for name, count in {**found, "any": any_pair / len(MEASURES)}.items():
        tries = draws if name == "any" else draws * len(WIDTHS)
        allowed = max(0.01, 3.5 * math.sqrt(0.05 * 0.95 / tries))
        assert abs(count / tries - 0.05) <= allowed, (name, count / tries)


def test_the_level_can_be_missed() -> None:
    """Thresholds of CKA for narrow features, held against wide ones, reject everything."""
    narrow, wide = ([gram(torch.from_numpy(normal(seed, 40, width))) for seed in (0, 1)] for width in (64, 3584))
    threshold = compare_with_chance(narrow[:1], narrow[1:], permutations=99).threshold_PQ[0, 0]
    assert _product(*wide) > threshold


def _product(first: Tensor, second: Tensor) -> float:
    return float((first * second).sum())
