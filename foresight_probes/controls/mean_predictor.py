"""The mean predictor, which uses no feature of the image: what a probe must be compared with."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

from foresight_probes.batches import Features
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.results.scores import Gathered
from foresight_probes.splits import Split
from foresight_probes.tasks import Task

MEAN_PREDICTOR = "mean-predictor"
"""Name under which the best constant answer stands among the points."""


CONSTANT = "constant"
"""Name under which it stands among the heads."""

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

    def value(self, task: Task) -> float:
        """Returns the primary metric on the validation split, NaN where it is not defined."""
        return task.metrics(self.validation.scores).get(task.primary, math.nan)


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
