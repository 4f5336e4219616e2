"""Against scipy and numpy over the whole shard at once."""

import ml_dtypes
import numpy as np
import pytest
import scipy.stats

from foresight_cache.format.feature_statistics import FeatureStatistics, effective_rank


def tokens(position: int) -> np.ndarray:
    return np.random.default_rng(position).normal(3.0, 2.0, (40, 16)).astype(np.float32)


def test_they_are_those_of_all_numbers_at_once() -> None:
    statistics = FeatureStatistics()
    for position in range(8):
        statistics.add(position, "vit.block_01", tokens(position))
    result = statistics.result("vit.block_01")
    together = np.concatenate([tokens(position) for position in range(8)]).astype(np.float64)
    assert result["mean"] == pytest.approx(together.mean(), rel=1e-4)
    assert result["std"] == pytest.approx(together.std(), rel=1e-4)
    norms = np.linalg.norm(together, axis=1)
    assert result["norm_quantiles"] == pytest.approx(np.quantile(norms, [0.05, 0.5, 0.95]), rel=1e-4)


@pytest.mark.parametrize("shape", [(200, 12), (12, 200)], ids=["tall", "wide"])
def test_effective_rank_is_the_exponential_of_the_entropy_of_singular_values(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    singular = np.linalg.svd(values - values.mean(axis=0), compute_uv=False)
    assert effective_rank(values) == pytest.approx(np.exp(scipy.stats.entropy(singular)), rel=1e-6)


def test_tokens_on_a_line_have_rank_one() -> None:
    line = np.outer(np.arange(10.0), np.ones(5)) + 7
    assert effective_rank(line) == pytest.approx(1.0, abs=1e-6)


def test_the_order_of_samples_does_not_matter() -> None:
    forwards, backwards = FeatureStatistics(), FeatureStatistics()
    for position in range(8):
        forwards.add(position, "p", tokens(position))
        backwards.add(7 - position, "p", tokens(7 - position))
    assert forwards.result("p") == backwards.result("p")


def test_bfloat16_is_summed_in_more_digits() -> None:
    statistics = FeatureStatistics()
    statistics.add(0, "p", np.full((4096, 64), 1.0078125, ml_dtypes.bfloat16))
    assert statistics.result("p")["mean"] == 1.0078, "five digits of 1.0078125"


def test_no_sample_no_statistics() -> None:
    assert FeatureStatistics().result("p") == {}
