"""The mean predictor, which uses no feature of the image: what a probe must be compared with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.batches import Features
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.results.scores import Gathered
from foresight_probes.splits import Split
from foresight_probes.tasks import Task

MEAN_PREDICTOR = "mean-predictor"
"""Name under which the best constant answer stands among the points."""


class Constant:
    """Features without information: the value zero for every sample, in one token or in a token per cell.

    On them a head has nothing but its biases, so that it becomes a constant answer: the mean or the shares of classes,
    which are known, or a fixed set of boxes or picture, which is trained. What it reaches is chance.
    """

    name = MEAN_PREDICTOR
    width = 1
    dtype = np.dtype(np.float32)

    def __init__(self, grid_of: Callable[[int], Grid] | None = None) -> None:
        """Takes the grid of a sample by its row, for heads that predict something per cell; None for one cell."""
        self._grid_of = grid_of

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:  # noqa: ARG002 - the same for every sample
        out_ND[:] = 0

    def grid(self, row: int) -> Grid:
        return self._grid_of(row) if self._grid_of else Grid(1, 1, 1)

    def shard(self, row: int) -> int:  # noqa: ARG002
        return 0


FeaturesOf: TypeAlias = Callable[[Sequence[int]], Features]
"""Function from rows of the sample table to their features: `blank` ones where a task's targets are not made of
features (`Task.targets_from`), else those of a point, standardised."""

BATCH = 64
"""Samples whose features are taken at once."""


@dataclass(frozen=True, slots=True)
class ConstantScores:
    """The best constant answer for a task on the training samples, and its scores on the others."""

    answer: ConstantAnswer
    validation: Gathered
    """As many scores as selection needs (`Task.selection_scores`)."""
    test: Gathered


def constant_scores(task: Task, targets: Mapping[int, Tensor], split: Split, features_of: FeaturesOf) -> ConstantScores:
    """Computes the best constant answer and scores it, by no option of training.

    Args:
        targets: Targets by row of the sample table; rows without one are left out.
        features_of: Gives the grids of samples, and features to a task that makes its targets of them.
    """

    def batches(side: str) -> Iterator[tuple[list[int], Features, Sequence[Tensor]]]:
        rows = [row for row in split.rows(side) if row in targets]
        for first in range(0, len(rows), BATCH):
            chosen = rows[first : first + BATCH]
            features, truth = features_of(chosen), [targets[row] for row in chosen]
            yield chosen, *(task.transform_batch(features, truth) if task.transforms_batch else (features, truth))

    def answered() -> Answered:
        for _, features, truth in batches("train"):
            yield from zip(truth, features.grids, strict=True)

    def scored(side: Literal["validation", "test"]) -> Gathered:
        score, gathered = task.selection_scores if side == "validation" else task.scores, Gathered()
        for rows, features, truth in batches(side):
            gathered.add(rows, score(answer.predict(features), truth))
        return gathered

    answer = task.best_constant(answered())
    return ConstantScores(answer, scored("validation"), scored("test"))
