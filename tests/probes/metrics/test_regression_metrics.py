"""Numbers and vectors against scikit-learn, retrieval against a sort of all candidates."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score

from foresight_probes.metrics.regression_metrics import scalar_scores, scalar_summary, vector_scores, vector_summary
from foresight_probes.metrics.resamples import point_estimate
from foresight_probes.metrics.retrieval import mean_rank, ranks


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_numbers_equal_scikit_learn() -> None:
    truth = normal(0, 40) + 3
    found = truth + 0.3 * normal(1, 40)
    assert point_estimate(scalar_summary, scalar_scores(found, truth)) == pytest.approx(
        {
            "r2": r2_score(truth, found),
            "mae": mean_absolute_error(truth, found),
            "relative_error": mean_absolute_percentage_error(truth, found),
        }
    )


def test_numbers_without_spread_or_all_zero() -> None:
    assert point_estimate(scalar_summary, scalar_scores(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0]))) == {
        "mae": 1.0,
        "relative_error": 0.5,
    }
    assert point_estimate(scalar_summary, scalar_scores(torch.tensor([1.0]), torch.tensor([0.0]))) == {"mae": 1.0}


def test_vectors_equal_scikit_learn() -> None:
    truth = normal(0, 5, 8, 6)
    truth = truth - truth.mean((0, 1))  # standardised: the mean is 0
    found = truth + 0.5 * normal(1, 5, 8, 6)
    summary = point_estimate(
        vector_summary, [vector_scores(one, other) for one, other in zip(found, truth, strict=True)]
    )
    expected = r2_score(truth.reshape(-1, 6), found.reshape(-1, 6), multioutput="variance_weighted")
    assert summary["r2"] == pytest.approx(expected)
    one, other = found.reshape(-1, 6).numpy(), truth.reshape(-1, 6).numpy()
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert summary["cosine"] == pytest.approx(cosine.mean())


def test_the_mean_explains_nothing() -> None:
    truth = normal(0, 4, 6)
    assert point_estimate(vector_summary, [vector_scores(torch.zeros(4, 6), truth)]) == {"cosine": 0.0, "r2": 0.0}
    assert "r2" not in point_estimate(vector_summary, [vector_scores(truth, torch.zeros(4, 6))])


def test_ranks_equal_a_sort() -> None:
    found, candidates = normal(0, 30, 5), normal(1, 30, 5)
    candidates = candidates + 0.7 * found
    one, other = (
        x.double().numpy() / np.linalg.norm(x.double().numpy(), axis=1, keepdims=True) for x in (found, candidates)
    )
    expected = [list(np.argsort(-row)).index(place) for place, row in enumerate(one @ other.T)]
    assert ranks(found, candidates).tolist() == expected
    assert mean_rank(ranks(found, candidates)) == pytest.approx(np.mean(expected) / 29)


def test_retrieval_by_chance_and_at_its_best() -> None:
    candidates = normal(0, 200, 16)
    assert ranks(3 * candidates, candidates).tolist() == [0] * 200
    assert mean_rank(ranks(normal(1, 200, 16), candidates)) == pytest.approx(0.5, abs=0.06)
    assert ranks(candidates, torch.ones(200, 16)).tolist() == [199] * 200
