"""Regression between points, against scikit-learn's ridge and against planted relations."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.training_free.token_regression import PENALTIES, cell_tokens, fit, token_grid

WEIGHT = np.random.default_rng(9).normal(size=(20, 12))


def drawn(seed: int, rows: int, noise: float) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(seed)
    known = generator.normal(size=(rows, 20)) * np.linspace(0.01, 5, 20) + 3
    told = known @ WEIGHT + noise * generator.normal(size=(rows, 12)) - 40
    return torch.from_numpy(known), torch.from_numpy(told)


@pytest.mark.parametrize("noise", [0.5, 60.0])
def test_against_scikit_learn(noise: float) -> None:
    training, validation, test = (drawn(seed, rows, noise) for seed, rows in ((0, 40), (1, 60), (2, 100)))
    inputs, outputs = (StandardScaler().fit(part.numpy()) for part in training)

    def of(pair: tuple[Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        return inputs.transform(pair[0].numpy()), outputs.transform(pair[1].numpy())

    errors, told = {}, {}
    for penalty in PENALTIES:
        ridge = Ridge(alpha=penalty * 40, fit_intercept=False).fit(*of(training))  # mean eigenvalue 1, times the rows
        known, truth = of(validation)
        errors[penalty] = np.mean((ridge.predict(known) - truth) ** 2)
        told[penalty] = ridge.predict(of(test)[0])
    found = fit(training, validation)
    assert found.penalty == min(errors, key=lambda penalty: errors[penalty])
    missed, there = found.misses(*test)
    truth = of(test)[1]
    assert missed == pytest.approx((told[found.penalty] - truth) ** 2)
    assert there == pytest.approx(truth**2)
    if noise < 1:
        assert 1 - missed.sum() / there.sum() == pytest.approx(r2_score(truth, told[found.penalty]), abs=0.02)


def test_noise_takes_a_stronger_penalty_and_tells_nothing() -> None:
    found = fit(drawn(0, 40, 1e4), drawn(1, 60, 1e4))
    missed, there = found.misses(*drawn(2, 400, 1e4))
    assert found.penalty >= 10
    assert abs(1 - missed.sum() / there.sum()) < 0.1


def test_channels_that_do_not_vary_count_nothing() -> None:
    (known, told), validation = drawn(0, 40, 0.1), drawn(1, 60, 0.1)
    still = torch.full((40, 1), 5.0, dtype=torch.float64)
    known, told = torch.cat([known, still], 1), torch.cat([told, still], 1)
    others = tuple(torch.cat([part, torch.full((60, 1), 6.0)], 1) for part in validation)
    missed, there = fit((known, told), (others[0], others[1])).misses(*others)
    assert np.isfinite(missed).all()
    assert (missed[:, -1] == 0).all()
    assert (there[:, -1] == 0).all()
    assert 1 - missed.sum() / there.sum() > 0.99


def test_cells_hold_their_tokens() -> None:
    """A grid of 2×4×6 tokens in 1×2×3 cells, cell by cell; other grids by their middles."""
    tokens = np.random.default_rng(0).normal(size=(2, 4, 6, 3))
    cells = cell_tokens(tokens, Grid(1, 2, 3))
    assert cells.shape == (6, 24)
    for y in range(2):
        for x in range(3):
            expected = [tokens[t, 2 * y + i, 2 * x + j] for t in range(2) for i in range(2) for j in range(2)]
            assert np.array_equal(cells[3 * y + x], np.concatenate(expected))
    errors = cells.reshape(6, 8, 3).sum(2)
    assert np.allclose(token_grid(errors, Grid(1, 2, 3), (2, 4, 6)), tokens.sum(3))
    uneven = cell_tokens(tokens[:1], Grid(1, 3, 4))
    assert np.array_equal(uneven[0], tokens[0, 0, 0])
    assert np.array_equal(uneven[11], tokens[0, 3, 5])
    assert uneven.shape == (12, 3)
