"""Heads that are solved and not trained: all penalties, training sets and tasks of a point together."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch

from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.options import TrainingOptions
from foresight_probes.results.scores import Gathered
from foresight_probes.splits import Split
from foresight_probes.tasks import Task
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.run_spec import BestEpoch, RunSpec, build_heads
from foresight_probes.training.solution_scores import evaluate
from foresight_probes.training.solver_data import SolverData
from foresight_probes.training.solvers import SOLVERS


class ClosedForms:
    """Ridge, logistic and constant heads on one point, whose runs are as independent as those of a `Bank`.

    A run's seed decides which samples train and which select (`splits.resplit`), the strength of its penalty is
    selected on validation, and the test split is seen once. Ridge and constant heads are solved from sums over a
    single pass, logistic ones from many.
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        tasks: Mapping[str, Task],
        standardization: Standardization,
        options: TrainingOptions,
        *,
        grid: Grid,
        splits: Mapping[int, Split],
        advance: Advance = silent,
    ) -> None:
        """Builds the heads; `splits` by seed."""
        self.runs, self.tasks, self.options = tuple(runs), tasks, options
        self.heads = [cast(LinearHead, head) for head in build_heads(runs, tasks, standardization, grid)]
        self.selections = [BestEpoch() for _ in runs]
        self.failures: dict[int, str] = {}
        """Failed runs by index: none, since a closed form has no loss that could become infinite."""
        self.test_scores = [Gathered() for _ in runs]
        """Scores of the test samples for each run."""
        self._standardization, self._advance = standardization, advance
        self._splits = [splits[run.seed] for run in runs]

    def fit(self, features: FeatureData) -> None:
        """Solves, selects on validation and evaluates the test split once."""
        data = SolverData(
            runs=self.runs,
            tasks=self.tasks,
            heads=self.heads,
            splits=self._splits,
            features=features,
            standardization=self._standardization,
            advance=self._advance,
        )
        selected = self._select(data, self._solve(data))
        tested = evaluate(data, selected, "test")
        self.test_scores = [tested[index][0] for index in range(len(self.runs))]

    def _solve(self, data: SolverData) -> dict[int, Sequence[LinearSolution]]:
        solutions: dict[int, Sequence[LinearSolution]] = {}
        for name, solver in SOLVERS.items():
            runs = [index for index, run in enumerate(self.runs) if heads.solver(run.head) == name]
            solutions |= solver.solve(runs, data, self.options)
        return solutions

    def _select(
        self, data: SolverData, solutions: Mapping[int, Sequence[LinearSolution]]
    ) -> dict[int, list[LinearSolution]]:
        """Keeps the weights of each run's best solution on validation, and returns it."""
        validated, selected = evaluate(data, solutions, "validation"), {}
        for index in range(len(self.runs)):
            task = data.task(index)
            values = [task.metrics(own.scores).get(task.primary, -math.inf) for own in validated[index]]
            best = int(np.argmax(np.nan_to_num(values, nan=-np.inf, neginf=-np.inf)))
            self._keep(index, solutions[index][best], values[best])
            selected[index] = [solutions[index][best]]
        return selected

    def _keep(self, index: int, solution: LinearSolution, value: float) -> None:
        linear = self.heads[index].linear
        with torch.no_grad():
            linear.weight.copy_(solution.weight)
            linear.bias.copy_(solution.bias)
        weights = {name: weight.detach().clone() for name, weight in self.heads[index].state_dict().items()}
        self.selections[index] = BestEpoch(value, 1, weights, solution.penalty)
