"""Scores of solutions on samples of their runs."""

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor

from foresight_probes.results.scores import Gathered
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.solver_data import SeenBatch, SolverData


def evaluate(
    data: SolverData, solutions: Mapping[int, Sequence[LinearSolution]], side: Literal["validation", "test"]
) -> dict[int, list[Gathered]]:
    """Returns, by run and solution, the scores of a side's samples that have a target.

    Those of validation are as many as selection needs (`Task.selection_scores`).
    """
    gathered = {run: [Gathered() for _ in own] for run, own in solutions.items()}
    samples = {run: frozenset(data.splits[run].rows(side)) for run in solutions}
    for seen in data.batches(samples):
        for run in seen.runs:
            targets = _targets(data, run, seen, samples[run])
            if targets:
                task, head = data.task(run), data.heads[run]
                score = task.selection_scores if side == "validation" else task.scores
                features = seen.features.select(list(targets))
                rows = [seen.samples[position] for position in targets]
                inputs_BRD = head.inputs(features)[0].double()
                for number, solution in enumerate(solutions[run]):
                    mapped_BRC = (inputs_BRD @ solution.weight.T + solution.bias).float()
                    prediction = head.as_prediction(mapped_BRC, features)
                    gathered[run][number].add(rows, score(prediction, list(targets.values())))
    return gathered


def _targets(data: SolverData, run: int, seen: SeenBatch, samples: frozenset[int]) -> dict[int, Tensor]:
    """By position in the batch, the targets of these samples."""
    pairs = zip(seen.samples, seen.targets[data.runs[run].task], strict=True)
    return {position: target for position, (row, target) in enumerate(pairs) if row in samples and target is not None}
