"""Heads that are solved and not trained: all penalties, training sets and tasks of a point together."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.batches import Batch, Features, Prediction
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.metrics import Scores
from foresight_probes.options import TrainingOptions
from foresight_probes.results.scores import Gathered
from foresight_probes.splits import Split
from foresight_probes.tasks import Task
from foresight_probes.training import logistic_regression
from foresight_probes.training.ridge_regression import Linear, NormalEquations
from foresight_probes.training.run_spec import BestEpoch, RunSpec

_TARGETS = {"ridge": ("values",), "logistic": ("class",), "constant": ("class", "values")}
"""Targets (`Task.closed_form`) of which a solver needs one."""
_UNSEEN = 0.5
"""Of a sample that a class counts for which no training sample has, so that its logit is finite."""


def solvable(task: Task, head: str) -> bool:
    """Tells whether a head is trained, or is a closed form that the task has targets for.

    Ridge regression needs values, logistic regression classes, a constant either.
    """
    solver = heads.solver(head)
    return solver is None or task.closed_form in _TARGETS[solver]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A batch as heads see it."""

    features: Features
    """Standardised."""
    targets: Mapping[str, Sequence[Tensor | None]]
    samples: tuple[int, ...]
    """Rows of the sample table."""


class ClosedForms:
    """Ridge, logistic and constant heads on one point, whose members are as independent as those of a `Bank`.

    A member's seed decides which samples train and which select (`splits.resplit`), the strength of its penalty is
    selected on validation, and the test split is seen once. Ridge and constant heads are solved from sums over a
    single pass, logistic ones from many.
    """

    def __init__(
        self,
        members: Sequence[RunSpec],
        tasks: Mapping[str, Task],
        standardization: Standardization,
        options: TrainingOptions,
        *,
        grid: Grid,
        splits: Mapping[int, Split],
        advance: Advance = silent,
    ) -> None:
        """`splits` by seed."""
        self.runs, self.tasks, self.options = tuple(members), tasks, options
        self._standardise, self._advance = standardization, advance
        self._splits = [splits[each.seed] for each in members]
        widths = tuple(len(each.token_mean) for each in (standardization, *standardization.others))
        outputs = {name: task.outputs_for(width=sum(widths), grid=grid) for name, task in tasks.items()}
        self.heads = [
            cast(LinearHead, heads.build(each.head, width=widths, outputs=outputs[each.task], seed=each.seed))
            for each in members
        ]
        self.selections = [BestEpoch() for _ in members]
        self.failures: dict[int, str] = {}
        self.test_scores = [Gathered() for _ in members]
        self._memory: list[Tensor] = []

    def fit(self, data: FeatureData) -> None:
        """Solves, selects on validation and evaluates the test split once."""
        solutions = self._solve_ridge(data) | self._solve_logistic(data) | self._solve_constant(data)
        wanted = {place: frozenset(split.validation) for place, split in enumerate(self._splits)}
        scores = self._evaluate(data, solutions, wanted, lambda task: task.selection_scores)
        for place, member in enumerate(self.runs):
            task = self.tasks[member.task]
            values = [task.metrics(some.scores).get(task.primary, -math.inf) for some in scores[place]]
            best = int(np.argmax(np.nan_to_num(values, nan=-np.inf, neginf=-np.inf)))
            self._keep(place, solutions[place][best], values[best])
            solutions[place] = [solutions[place][best]]
        wanted = {place: frozenset(split.test) for place, split in enumerate(self._splits)}
        tested = self._evaluate(data, solutions, wanted, lambda task: task.scores)
        self.test_scores = [tested[place][0] for place in range(len(self.runs))]

    def _solve_ridge(self, data: FeatureData) -> dict[int, list[Linear]]:
        """By place, a solution per strength."""
        kinds: dict[tuple[str, str], list[int]] = {}
        for place, member in enumerate(self.runs):
            if heads.solver(member.head) == "ridge":
                kinds.setdefault((self._reads(place), self._prepared(place)), []).append(place)
        equations = {kind: NormalEquations(len(places)) for kind, places in kinds.items()}
        training = [frozenset(split.train) for split in self._splits]
        for batch in self._batches(data, [place for places in kinds.values() for place in places], training):
            for kind, places in kinds.items():
                if seen := self._seen(batch, kind[1]):
                    x, lengths = _inputs(seen.features, kind[0])
                    pairs = [self._answers(place, seen, lengths, training[place]) for place in places]
                    taken = torch.stack([known for _, known in pairs], dim=1)
                    equations[kind].add(x, taken, [y.double() for y, _ in pairs])
        found: dict[int, list[Linear]] = {}
        for kind, places in kinds.items():
            found |= dict(zip(places, equations[kind].solve(self.options.strengths), strict=True))
        return found

    def _solve_logistic(self, data: FeatureData) -> dict[int, list[Linear]]:
        """By place, a solution per strength. What is multiplied is kept where it fits into `resident_bytes`."""
        found = {}
        training = [frozenset(split.train) for split in self._splits]
        for place, member in enumerate(self.runs):
            if heads.solver(member.head) == "logistic":

                def chunks(place: int = place) -> Iterator[tuple[Tensor, Tensor]]:
                    for batch in self._batches(data, [place], training):
                        if seen := self._seen(batch, self._prepared(place)):
                            x, lengths = _inputs(seen.features, self._reads(place))
                            classes, known = self._answers(place, seen, lengths, training[place])
                            yield x[known], classes[known]

                outputs, width = self.heads[place].linear.weight.shape
                reads_tokens = self._reads(place) == "tokens"
                rows = len(training[place]) * (data.grid.tokens if reads_tokens else 1)
                fits = rows * width * 8 <= self.options.resident_bytes
                found[place] = logistic_regression.solve(
                    partial(tuple, tuple(chunks())) if fits else chunks,
                    width=width,
                    classes=outputs,
                    strengths=self.options.strengths,
                )
        return found

    def _solve_constant(self, data: FeatureData) -> dict[int, list[Linear]]:
        """By place the logarithms of the classes' shares, of least cross-entropy, or the mean, of least squares.

        Tokens weigh the same, whatever sample they are of.
        """
        training = [frozenset(split.train) for split in self._splits]
        places = [place for place, each in enumerate(self.runs) if heads.solver(each.head) == "constant"]
        sums = [torch.zeros_like(self.heads[place].linear.bias, dtype=torch.float64) for place in places]
        rows = [0] * len(places)
        for batch in self._batches(data, places, training):
            for number, place in enumerate(places):
                if seen := self._seen(batch, self._prepared(place)):
                    _, lengths = _inputs(seen.features, self._reads(place))
                    answers, known = self._answers(place, seen, lengths, training[place])
                    chosen = answers[known]
                    every = chosen if chosen.ndim == 2 else functional.one_hot(chosen, len(sums[number]))
                    sums[number] += every.double().sum(0)
                    rows[number] += len(chosen)
        found = {}
        for place, total, count in zip(places, sums, rows, strict=True):
            of_classes = self._task(place).closed_form == "class"
            bias = (total.clamp(min=_UNSEEN) / max(1, count)).log() if of_classes else total / max(1, count)
            found[place] = [Linear(0.0, torch.zeros_like(self.heads[place].linear.weight).double(), bias)]
        return found

    def _evaluate(
        self,
        data: FeatureData,
        solutions: Mapping[int, Sequence[Linear]],
        wanted: Mapping[int, frozenset[int]],
        judge: Callable[[Task], Callable[[Prediction, Sequence[Tensor]], Scores]],
    ) -> dict[int, list[Gathered]]:
        """By place and solution the scores of the wanted samples."""
        found = {place: [Gathered() for _ in some] for place, some in solutions.items()}
        for batch in self._batches(data, list(solutions), wanted):
            for place, some in solutions.items():
                seen = self._seen(batch, self._prepared(place))
                if seen is None:
                    continue
                task = self.runs[place].task
                asked = {
                    number: target
                    for number, (row, target) in enumerate(zip(seen.samples, seen.targets[task], strict=True))
                    if row in wanted[place] and target is not None
                }
                if asked:
                    features, rows = seen.features.select(list(asked)), [seen.samples[number] for number in asked]
                    x = (features.pooled if self._reads(place) == "pooled" else features.tokens).double()
                    for number, solution in enumerate(some):
                        flat = (x @ solution.weight.T + solution.bias).float()
                        prediction = self.heads[place].as_prediction(flat, features)
                        found[place][number].add(rows, judge(self.tasks[task])(prediction, list(asked.values())))
        return found

    def _keep(self, place: int, solution: Linear, value: float) -> None:
        linear = self.heads[place].linear
        with torch.no_grad():
            linear.weight.copy_(solution.weight)
            linear.bias.copy_(solution.bias)
        weights = {name: weight.detach().clone() for name, weight in self.heads[place].state_dict().items()}
        strength = None if heads.solver(self.runs[place].head) == "constant" else solution.strength
        self.selections[place] = BestEpoch(value, 1, weights, strength)

    def _batches(
        self, data: FeatureData, places: Sequence[int], wanted: Mapping[int, frozenset[int]] | Sequence[frozenset[int]]
    ) -> Iterator[Batch]:
        """All samples that one of these members wants, once."""
        rows = sorted(frozenset().union(*(wanted[place] for place in places)))
        for batch in data.in_order(rows) if rows else ():
            yield batch
            self._advance(len(batch.rows), batch.size)

    def _seen(self, batch: Batch, prepared: str) -> _Seen | None:
        """For the members of a task that prepares its batches, or for all others; None where there is no question."""
        features = self._standardise(batch.features, self._memory)
        if not prepared:
            return _Seen(features, batch.targets, batch.rows)
        asked = [place for place, target in enumerate(batch.targets[prepared]) if target is not None]
        if not asked:
            return None
        targets = [target for target in batch.targets[prepared] if target is not None]
        features, ready = self.tasks[prepared].transform_batch(features.select(asked), targets)
        return _Seen(features, {prepared: ready}, tuple(batch.rows[place] for place in asked))

    def _reads(self, place: int) -> str:
        return self.heads[place].reads

    def _prepared(self, place: int) -> str:
        """Name of the task if it prepares its batches, else nothing."""
        task = self.runs[place].task
        return task if self.tasks[task].transforms_batch else ""

    def _answers(
        self, place: int, seen: _Seen, lengths: Sequence[int], wanted: frozenset[int]
    ) -> tuple[Tensor, Tensor]:
        """For each row of the inputs the values [R, C] or class [R] of a perfect head, and whether it trains, [R]."""
        member = self.runs[place]
        task, of_classes = self._task(place), self._task(place).closed_form == "class"
        channels = self.heads[place].linear.out_features
        answers = torch.full((sum(lengths),) if of_classes else (sum(lengths), channels), torch.nan)
        start = 0
        for number, (row, target, length) in enumerate(
            zip(seen.samples, seen.targets[member.task], lengths, strict=True)
        ):
            if target is not None and row in wanted:
                cells = seen.features.cells[number, :length]
                made = task.target_class(target, cells) if of_classes else task.target_values(target, cells)
                shape = (-1,) if of_classes else (-1, channels)
                answers[start : start + length] = made.reshape(shape).expand(length, *shape[1:])
            start += length
        if of_classes:
            return answers.nan_to_num().long(), answers >= 0
        return answers.nan_to_num(), ~answers.isnan().any(1)

    def _task(self, place: int) -> Task:
        return self.tasks[self.runs[place].task]


def _inputs(features: Features, reads: str) -> tuple[Tensor, list[int]]:
    """[R, D] float64, a row per sample or per token, and how many rows each sample has."""
    if reads == "pooled":
        return features.pooled.double(), [1] * len(features.pooled)
    return features.tokens[features.mask].double(), features.mask.sum(1).tolist()
