"""The mean predictor, which uses no feature of the image: what a probe must be compared with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from torch import Tensor

from foresight_probes.batches import Features, Prediction
from foresight_probes.constant_answer import ConstantAnswer
from foresight_probes.metrics import Scores
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


class ConstantScores:
    """The best constant answer for a task on the training samples, and its scores, which no option changes."""

    def __init__(self, task: Task, targets: Mapping[int, Tensor], split: Split, features_of: FeaturesOf) -> None:
        """Takes the targets by row of the sample table, of which rows without one are left out, and a way to see them.

        `features_of` gives the grids of samples, and features to a task that makes its targets of them.
        """
        self._task, self._targets, self._split, self._features_of = task, targets, split, features_of

    @cached_property
    def answer(self) -> ConstantAnswer:
        """The answer, computed when it is first asked for."""
        return self._task.best_constant(
            pair for _, features, truth in self._batches("train") for pair in zip(truth, features.grids, strict=True)
        )

    @cached_property
    def validation(self) -> Gathered:
        """As many scores as selection needs (`Task.selection_scores`)."""
        return self._scored("validation", self._task.selection_scores)

    @cached_property
    def test(self) -> Gathered:
        """Scores of the test split, some of which are costly and taken when they are first asked for."""
        return self._scored("test", self._task.scores)

    def value(self, task: Task) -> float:
        """Returns the primary metric on the validation split, NaN where it is not defined."""
        return task.selection_value(self.validation.scores)

    def _scored(self, side: str, score: Callable[[Prediction, Sequence[Tensor]], Scores]) -> Gathered:
        gathered = Gathered()
        for rows, features, truth in self._batches(side):
            gathered.add(rows, score(self.answer.predict(features), truth))
        return gathered

    def _batches(self, side: str) -> Iterator[tuple[list[int], Features, Sequence[Tensor]]]:
        rows, task = [row for row in self._split.rows(side) if row in self._targets], self._task
        for first in range(0, len(rows), BATCH):
            chosen = rows[first : first + BATCH]
            features, truth = self._features_of(chosen), [self._targets[row] for row in chosen]
            yield chosen, *(task.transform_batch(features, truth) if task.transforms_batch else (features, truth))
