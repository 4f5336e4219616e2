"""The leading directions against numpy's singular value decomposition, and which tokens they are taken from."""

import numpy as np
import pytest
import torch

from foresight_probes.features.datamodule import FeatureData
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.training import leading_directions as module
from foresight_probes.training.leading_directions import leading_directions, training_sample
from foresight_probes.training.solver_data import sampled
from tests.support.array_source import Arrays


def rows(count: int, width: int, rank: int | None = None) -> np.ndarray:
    """Rows of mean 0 whose directions are of falling variance, none along a channel."""
    generator = np.random.default_rng(0)
    spread = 1.0 / (1 + np.arange(rank or min(count, width)))
    turn = np.linalg.qr(generator.normal(size=(width, width)))[0][:, : len(spread)]
    made = generator.normal(size=(count, len(spread))) * spread @ turn.T
    return (made - made.mean(0)).astype(np.float32)


@pytest.mark.parametrize(("count", "width", "kept"), [(500, 40, 1), (500, 40, 6), (500, 40, 40), (30, 80, 10)])
def test_they_are_those_of_the_singular_value_decomposition(count: int, width: int, kept: int) -> None:
    """The same subspace, in which every direction has the variance 1 and none goes with another."""
    own = rows(count, width)
    found = leading_directions(torch.from_numpy(own), kept).double().numpy()
    assert found.shape == (kept, width)
    _, _, directions = np.linalg.svd(own.astype(np.float64), full_matrices=False)
    ours = np.linalg.qr(found.T)[0]
    cosines = np.linalg.svd(directions[:kept] @ ours, compute_uv=False)
    assert cosines.min() > 1 - 1e-4
    whitened = own @ found.T
    np.testing.assert_allclose(whitened.T @ whitened / count, np.eye(kept), atol=1e-3)


def test_the_same_rows_give_the_same_map_whatever_else_is_random() -> None:
    own = torch.from_numpy(rows(200, 30))
    torch.manual_seed(1)
    first = leading_directions(own, 8)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert torch.equal(leading_directions(own, 8), first)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first.gather(1, first.abs().argmax(1, keepdim=True)) > 0).all()


def test_there_are_no_more_than_the_rows_have() -> None:
    assert leading_directions(torch.from_numpy(rows(100, 20, rank=3)), 8).shape == (3, 20)
    assert leading_directions(torch.from_numpy(rows(100, 5)), 8).shape == (5, 5)


def test_they_are_taken_from_training_samples_standardised(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the tokens where there is room for them, else the same number of each sample."""
    generator = np.random.default_rng(3)
    samples = [generator.normal(size=(10, 4)) * 5 + index for index in range(8)]
    split = Split(train=(1, 2, 4, 7), validation=(0, 3), test=(5, 6), digest="")
    data = FeatureData(Arrays(samples), split, {}, TrainingOptions())
    standardization = data.standardization()
    training = np.concatenate([samples[row] for row in split.train]).astype(np.float32)
    expected = (training - training.mean(0)) / training.std(0)
    found = training_sample(data, standardization, pooled=False)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    means = np.stack([samples[row].mean(0) for row in split.train])
    pooled = training_sample(data, standardization, pooled=True)
    np.testing.assert_allclose(pooled.numpy(), (means - means.mean(0)) / means.std(0), atol=1e-4)
    monkeypatch.setattr(module, "MOST_ROWS", 12)
    few = training_sample(data, standardization, pooled=False).numpy()
    assert few.shape == (12, 4)
    numbers = [int(np.abs(expected - row).sum(1).argmin()) for row in few]
    assert [number // 10 for number in numbers] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert len(set(numbers)) == 12


def test_a_sample_s_tokens_are_chosen_by_its_row_alone_and_from_all_places() -> None:
    chosen = torch.stack([sampled(row, 64, 16) for row in range(2000)])
    assert torch.equal(chosen, torch.stack([sampled(row, 64, 16) for row in range(2000)]))
    assert (chosen.sum(1) == 16).all()
    assert len({tuple(row) for row in chosen.tolist()}) == 2000
    shares = chosen.double().mean(0)  # of a quarter, with a deviation of 0.01
    assert (shares - 0.25).abs().max() < 0.045
    assert sampled(5, 16, 16).all()
    assert sampled(5, 3, 16).tolist() == [True] * 3
