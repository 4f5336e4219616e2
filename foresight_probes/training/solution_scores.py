"""Scores of solutions on samples of their runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
from torch import Tensor

from foresight_probes.results.scores import Gathered
from foresight_probes.training.solution import Solution
from foresight_probes.training.solver_data import SeenBatch, SolverData

AnySolution = TypeVar("AnySolution", bound=Solution)


def best_on_validation(
    data: SolverData, solutions: Mapping[int, Sequence[AnySolution]], *, counted: bool = True
) -> dict[int, tuple[AnySolution, float]]:
    """Returns the best solution of each run with its primary metric, the first of those that are as good."""
    best = {}
    for run, gathered in evaluate(data, solutions, "validation", counted=counted).items():
        task = data.task(run)
        values = [task.metrics(own.scores).get(task.primary, -math.inf) for own in gathered]
        first = int(np.argmax(np.nan_to_num(values, nan=-np.inf, neginf=-np.inf)))
        best[run] = (solutions[run][first], values[first])
    return best


def evaluate(
    data: SolverData,
    solutions: Mapping[int, Sequence[Solution]],
    side: Literal["validation", "test"],
    *,
    counted: bool = True,
) -> dict[int, list[Gathered]]:
    """Returns, by run and solution, the scores of a side's samples that have a target.

    Those of validation are as many as selection needs (`Task.selection_scores`). Samples are reported where they are
    `counted`.
    """
    gathered = {run: [Gathered() for _ in own] for run, own in solutions.items()}
    samples = {run: frozenset(data.splits[run].rows(side)) for run in solutions}
    for seen in data.batches(samples, counted=counted):
        for run in seen.runs:
            targets = _targets(data, run, seen, samples[run])
            if targets:
                task, head = data.task(run), data.heads[run]
                score = task.selection_scores if side == "validation" else task.scores
                features = seen.features.select(list(targets))
                rows = [seen.samples[position] for position in targets]
                inputs_BRD = head.inputs(features)[0].double()
                for number, solution in enumerate(solutions[run]):
                    prediction = solution.predict(head, inputs_BRD, features)
                    gathered[run][number].add(rows, score(prediction, list(targets.values())))
    return gathered


def _targets(data: SolverData, run: int, seen: SeenBatch, samples: frozenset[int]) -> dict[int, Tensor]:
    """By position in the batch, the targets of these samples."""
    pairs = zip(seen.samples, seen.targets[data.runs[run].task], strict=True)
    return {position: target for position, (row, target) in enumerate(pairs) if row in samples and target is not None}
