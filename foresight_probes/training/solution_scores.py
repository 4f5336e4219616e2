"""Scores of solutions on samples of their runs."""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from foresight_probes.batches import Prediction
from foresight_probes.metrics import Scores
from foresight_probes.results.scores import Gathered
from foresight_probes.tasks import Task
from foresight_probes.tasks.kinds.per_sample import PerSample
from foresight_probes.training.solution import Solution
from foresight_probes.training.solver_data import SeenBatch, SolverData

AnySolution = TypeVar("AnySolution", bound=Solution)
Score: TypeAlias = Callable[[Task, Prediction, Sequence[Tensor]], Scores]


class Best(NamedTuple, Generic[AnySolution]):
    """The best solution of a run."""

    solution: AnySolution
    value: float
    """Primary metric on the validation split."""
    scores: Gathered
    """Scores of the samples of the validation split."""


def best_on_validation(
    data: SolverData,
    solutions: Mapping[int, Sequence[AnySolution]],
    *,
    by_loss: Container[int] = (),
    counted: bool = True,
) -> dict[int, Best[AnySolution]]:
    """Returns the solution of each run that validation chooses, the first of those that are as good.

    It has the best primary metric, or of the runs `by_loss` the least mean loss.
    """
    best = {}
    with_losses = {run: own for run, own in solutions.items() if run in by_loss}
    found = evaluate(data, with_losses, "validation", counted=False, score=losses) if with_losses else {}
    for run, gathered in evaluate(data, solutions, "validation", counted=counted).items():
        task = data.task(run)
        values = [task.metrics(own.scores).get(task.primary, -math.inf) for own in gathered]
        worth = [-float(np.mean(own.scores)) for own in found[run]] if run in found else values
        first = int(np.argmax(np.nan_to_num(worth, nan=-np.inf, neginf=-np.inf)))
        best[run] = Best(solutions[run][first], values[first], gathered[first])
    return best


def losses(task: Task, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
    """Returns the loss of each sample, [B, 1]: that of its batch where samples have none of their own."""
    if isinstance(task, PerSample):
        return task.sample_losses(prediction, torch.stack(list(targets)))[:, None].double().numpy()
    return np.full((len(targets), 1), float(task.loss(prediction, targets)))


def evaluate(
    data: SolverData,
    solutions: Mapping[int, Sequence[Solution]],
    side: Literal["validation", "test"],
    *,
    counted: bool = True,
    score: Score | None = None,
) -> dict[int, list[Gathered]]:
    """Returns, by run and solution, the scores of a side's samples that have a target.

    Scores are the task's where `score` is None; those of validation are as many as selection needs
    (`Task.selection_scores`). Samples are reported where they are `counted`.
    """
    if score is None:
        score = _for_selection if side == "validation" else _for_report
    gathered = {run: [Gathered() for _ in own] for run, own in solutions.items()}
    samples = {run: frozenset(data.splits[run].rows(side)) for run in solutions}
    for seen in data.batches(samples, counted=counted):
        for run in seen.runs:
            targets = _targets(data, run, seen, samples[run])
            if targets:
                task, head = data.task(run), data.heads[run]
                features = seen.features.select(list(targets))
                rows = [seen.samples[position] for position in targets]
                inputs_BRD = head.inputs(features)[0].double()
                for number, solution in enumerate(solutions[run]):
                    prediction = solution.predict(head, inputs_BRD, features)
                    gathered[run][number].add(rows, score(task, prediction, list(targets.values())))
    return gathered


def _for_selection(task: Task, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
    return task.selection_scores(prediction, targets)


def _for_report(task: Task, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
    return task.scores(prediction, targets)


def _targets(data: SolverData, run: int, seen: SeenBatch, samples: frozenset[int]) -> dict[int, Tensor]:
    """By position in the batch, the targets of these samples."""
    pairs = zip(seen.samples, seen.targets[data.runs[run].task], strict=True)
    return {position: target for position, (row, target) in enumerate(pairs) if row in samples and target is not None}
