"""Ridge regression where values do not matter everywhere: each group of columns as scikit-learn's on its own rows."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from foresight_probes import tasks
from foresight_probes.batches import OutputSpec
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.tasks import boxes
from foresight_probes.training import solver_data as module
from foresight_probes.training.ridge_regression import RidgeRegression
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.solver_data import SolverData
from tests.support.array_source import Arrays

WIDTH, CHANNELS, TOKENS, SAMPLES = 6, 4, 9, 14
GROUPS = [[2, 0], [3], [1]]
SPLIT = Split(train=(0, 1, 3, 4, 6, 7, 8, 10), validation=(2, 5), test=(9, 11, 12, 13), digest="")
STRENGTHS = (0.1, 10.0)


class Gappy(boxes.Task):
    """A task whose targets are what a perfect head predicts for each token, NaN where a value does not matter."""

    outputs = OutputSpec(num_predictions=1, channels=CHANNELS, predicts=("per_token",))

    def start_values(self, target: Tensor, cells: Tensor | None) -> Tensor:  # noqa: ARG002
        return target

    def start_groups(self, channels: int) -> list[list[int]]:  # noqa: ARG002
        return GROUPS

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        raise NotImplementedError


def planted() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Tokens, and values of which each group has rows of its own; the last group has none."""
    generator = np.random.default_rng(0)
    samples = [generator.normal(size=(TOKENS, WIDTH)) * np.arange(1, WIDTH + 1) + 3 for _ in range(SAMPLES)]
    mix = generator.normal(size=(WIDTH, CHANNELS))
    values = [tokens @ mix + generator.normal(size=(TOKENS, CHANNELS)) for tokens in samples]
    for own in values:
        for columns, share in zip(GROUPS, (0.3, 0.6, 1.0), strict=True):
            own[np.ix_(generator.random(TOKENS) < share, columns)] = np.nan
    return samples, values


def solver_data(samples: list[np.ndarray], values: list[np.ndarray], *, without: tuple[int, ...] = ()) -> SolverData:
    targets = {row: torch.from_numpy(own).float() for row, own in enumerate(values) if row not in without}
    features = FeatureData(Arrays(samples), SPLIT, {"gappy": targets}, TrainingOptions())
    task, runs = Gappy(tasks.TaskContext()), [RunSpec("gappy", "token-linear", 0)]
    standardization = features.standardization()
    return SolverData(
        runs=runs,
        tasks={"gappy": task},
        heads=cast(list[LinearHead], build_heads(runs, {"gappy": task}, standardization, features.grid)),
        solvers=["ridge"],
        splits=[SPLIT],
        features=features,
        standardization=standardization,
    )


def standardised(samples: list[np.ndarray]) -> list[np.ndarray]:
    training = np.concatenate([samples[row] for row in SPLIT.train])
    return [(tokens - training.mean(0)) / training.std(0) for tokens in samples]


def test_each_group_is_ridge_regression_on_the_rows_where_it_matters() -> None:
    samples, values = planted()
    solutions = RidgeRegression().solve([0], solver_data(samples, values), TrainingOptions(strengths=STRENGTHS))[0]
    x, y = (np.concatenate([own[row] for row in SPLIT.train]) for own in (standardised(samples), values))
    for strength, solution in zip(STRENGTHS, solutions, strict=True):
        assert solution.penalty == strength
        for columns in GROUPS[:2]:
            known = ~np.isnan(y[:, columns]).any(1)
            assert 0 < known.sum() < len(y)
            reference = Ridge(alpha=strength, solver="svd").fit(x[known], y[np.ix_(known, columns)])
            np.testing.assert_allclose(solution.weight[columns].numpy(), reference.coef_.reshape(-1, WIDTH), atol=1e-4)
            np.testing.assert_allclose(solution.bias[columns].numpy(), reference.intercept_, atol=1e-4)
        assert not solution.weight[GROUPS[2]].any()
        assert not solution.bias[GROUPS[2]].any()


def test_samples_without_a_target_are_not_learned_from() -> None:
    samples, values = planted()
    data = solver_data(samples, values, without=(3, 8))
    (solution,) = RidgeRegression().solve([0], data, TrainingOptions(strengths=(1.0,)))[0]
    x, y = (
        np.concatenate([own[row] for row in SPLIT.train if row not in (3, 8)])
        for own in (standardised(samples), values)
    )
    known = ~np.isnan(y[:, 3])
    reference = Ridge(alpha=1.0, solver="svd").fit(x[known], y[known, 3])
    np.testing.assert_allclose(solution.weight[3].numpy(), reference.coef_, atol=1e-4)


def test_where_tokens_are_many_some_of_each_sample_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many of each, with the values that are theirs."""
    samples, values = planted()
    monkeypatch.setattr(module, "MOST_ROWS", 4 * len(SPLIT.train))
    x, y = standardised(samples), np.concatenate([values[row] for row in SPLIT.train])
    rows = np.concatenate([x[row] for row in SPLIT.train])
    taken = []
    for part in solver_data(samples, values).training_rows([0]):
        for inputs, own in zip(part.inputs_RD.numpy(), part.answers[0].numpy(), strict=True):
            number = int(np.abs(rows - inputs).sum(1).argmin())
            np.testing.assert_allclose(own, y[number], atol=1e-4)
            taken.append(number)
    assert len(set(taken)) == len(taken)
    assert np.bincount(np.array(taken) // TOKENS).tolist() == [4] * len(SPLIT.train)
