"""What trained heads on a point start from: closed forms, and the views in which they see the point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from foresight_cache.runtime.progress import Advance, silent
from foresight_probes import heads
from foresight_probes.batches import Form, OutputSpec
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.features.views import CHANNELS, LEADING, View
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import Task
from foresight_probes.training.chosen_start import chosen_start
from foresight_probes.training.closed_forms import ClosedForms
from foresight_probes.training.leading_directions import leading_directions, training_sample
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.solver_data import SolverData
from foresight_probes.training.solvers import solver_of

_LINEAR: Mapping[Form, str] = {"per_sample": "pooled-linear", "per_token": "token-linear"}


@dataclass(frozen=True, slots=True)
class _AffineMap:
    weight: Tensor
    """[C, D] float32, of standardised tokens or means over tokens."""
    bias: Tensor


@dataclass(frozen=True, slots=True)
class _Solved(_AffineMap):
    unit: float
    """Deviation that its values would have if they told everything."""


class Starts:
    """Closed forms and leading directions of a point, each found once, when it is first asked for."""

    def __init__(
        self,
        data: FeatureData,
        standardization: Standardization,
        tasks: Mapping[str, Task],
        options: TrainingOptions,
        advance: Advance = silent,
    ) -> None:
        self._data, self._standardization, self._tasks = data, standardization, tasks
        self._options, self._advance = options, advance
        self._sample: Callable[..., Tensor] = cache(self._training_sample)
        self._solution: Callable[..., _Solved] = cache(self._solve)
        self._directions: Callable[..., Tensor] = cache(self._leading)

    def view(self, task: str, head: str, inputs: str) -> View:
        """Returns the view of a head for a task with inputs of this name.

        Heads that correct a closed form have its values in front, `View.start` of them. A linear head has them as
        inputs, and so has one whose predictions are of another form than the closed form's.
        """
        pooled = heads.load(head).reads == "pooled"
        solved = self._start(self._tasks[task], task, head)
        blocks: list[_AffineMap] = [solved] if solved and heads.is_linear_head(head) else []
        start = solved if solved and self.corrects(task, head) else None
        if solved and not blocks:
            blocks = [_scaled(solved, self._sample(pooled=pooled))]
        if inputs.startswith(LEADING):
            weight = self._directions(int(inputs.removeprefix(LEADING)), pooled=pooled)
            blocks.append(_AffineMap(weight, torch.zeros(len(weight))))
        parts = [*([start] if start else []), *blocks]
        width = len(self._standardization.token_mean)
        return View(
            name=inputs,
            weight=torch.cat([part.weight for part in parts]) if parts else torch.zeros(0, width),
            bias=torch.cat([part.bias for part in parts]) if parts else torch.zeros(0),
            start=len(start.bias) if start else 0,
            all_channels=inputs == CHANNELS,
        )

    def corrects(self, task: str, head: str) -> bool:
        """Tells whether a head's predictions are a closed form's values with a correction by the head."""
        own = self._tasks[task]
        form = self._form(own, head)
        if heads.is_linear_head(head) or heads.solver(head) or form not in own.start_forms:
            return False
        return form == "per_token" or heads.load(head).reads == "pooled" or own.closed_form is not None

    def _start(self, task: Task, name: str, head: str) -> _Solved | None:
        """The closed form that a head begins with: of its own form where there is one, else of each token."""
        form, pooled = self._form(task, head), heads.load(head).reads == "pooled"
        if form == "per_sample" and form in task.start_forms and (pooled or task.closed_form):
            solved = self._solution(name, "per_sample")
            return solved if pooled else self._on_tokens(solved)
        if "per_token" in task.start_forms and not pooled:
            return self._solution(name, "per_token")
        return None

    def _form(self, task: Task, head: str) -> Form:
        return form_of(head, task.outputs_for(width=1, grid=self._data.grid))

    def _solve(self, name: str, form: Form) -> _Solved:
        task, head = self._tasks[name], _LINEAR[form]
        runs = [RunSpec(name, head, 0)]
        (built,) = build_heads(runs, self._tasks, self._standardization, self._data.grid)
        data = SolverData(
            runs=runs,
            tasks={name: task},
            heads=[cast(LinearHead, built)],
            solvers=[solver_of(task, head) or "ridge"],
            splits=[self._data.split],
            features=self._data,
            standardization=self._standardization,
            advance=self._advance,
        )
        solutions = cast(Sequence[LinearSolution], ClosedForms(data, self._options).solutions()[0])
        start, unit = chosen_start(data, solutions)
        return _Solved(start.weight.float(), start.bias.float(), unit)

    def _on_tokens(self, pooled: _Solved) -> _Solved:
        """The same map for standardised tokens, whose mean it maps to what it maps standardised means to."""
        own = self._standardization
        return _Solved(
            pooled.weight * (own.token_scale / own.pooled_scale),
            pooled.bias + pooled.weight @ ((own.token_mean - own.pooled_mean) / own.pooled_scale),
            pooled.unit,
        )

    def _training_sample(self, *, pooled: bool) -> Tensor:
        return training_sample(self._data, self._standardization, pooled=pooled)

    def _leading(self, count: int, *, pooled: bool) -> Tensor:
        return leading_directions(self._sample(pooled=pooled), count)


def form_of(head: str, outputs: OutputSpec) -> Form:
    """Returns the form of the predictions that a head makes for a task: the first of its own that the task takes."""
    return next(form for form in heads.load(head).predicts if form in outputs.predicts)


def _scaled(solved: _Solved, rows_RD: Tensor) -> _AffineMap:
    """The same map with values of mean 0, whose deviations have the mean square 1, or less where it tells little.

    What tells nothing would be heard as loudly as anything else, and it knows the training samples.
    """
    values: Any = rows_RD @ solved.weight.T
    scale = values.std(0).square().mean().sqrt().clamp(min=max(solved.unit, 1e-6))
    return _AffineMap(solved.weight / scale, -values.mean(0) / scale)
