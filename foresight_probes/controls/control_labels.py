"""Labels drawn for types of input: what a head can learn by heart of the features.

Hewitt and Liang, "Designing and Interpreting Probes with Control Tasks" (EMNLP 2019): every type, there a word, has one
label, drawn from the labels' distribution, so that what a head reaches on types that it was trained on tells of its
capacity and not of the features' meaning. *Selectivity* is the task's metric less the control's. The types are here the
mean colours, in steps of equally many training samples for each channel, of the sample or of each token's cell.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from foresight_cache.points import PIXELS
from foresight_cache.samples import Grid
from foresight_probes import controls
from foresight_probes.features.patches import grid_cells
from foresight_probes.features.sources import PixelPatches
from foresight_probes.splits import position
from foresight_probes.tasks import Task
from foresight_probes.tasks.kinds.cell_means import evenly
from foresight_probes.tasks.kinds.per_sample import PerSample
from foresight_probes.tasks.patch_class import NO_ANSWER

STEPS = 4
"""Steps of each colour: 64 types."""

FITTED = 256
"""Training samples that the steps and the labels' distribution are taken from, at most."""


class Control(controls.Control):
    """A random label for each mean colour, of samples or of tokens, where the cache has pixels."""

    def fits(self, task: Task) -> bool:
        """Only where a target is one class or number, or a class of each token."""
        has_pixels = PIXELS in self.context.cache and len(self.context.cache.points) > 1
        single = isinstance(task, PerSample) or task.targets_from == "cells"
        return has_pixels and single and not task.plants_answers

    def targets(self, task: Task, targets: Mapping[int, Tensor], copy: int = 0) -> Mapping[int, Tensor]:  # noqa: ARG002
        return ControlTargets(self, task, targets)

    @cached_property
    def patches(self) -> PixelPatches:
        """The pixels of each token of the finest point."""
        return PixelPatches(self.context.cache)

    def fitted_rows(self, targets: Mapping[int, Tensor]) -> list[int]:
        """Returns the training rows that types and labels are taken from."""
        return evenly([row for row in self.context.split.train if row in targets], FITTED)

    def colours(self, row: int, *, per_token: bool) -> np.ndarray:
        """Returns the mean colours of a sample, [1, 3], or of its tokens, [N, 3], from 0 to 1."""
        pixels_NP3 = self.patches.read(row).reshape(self.patches.grid(row).tokens, -1, 3)
        colours: np.ndarray = pixels_NP3.mean(1) if per_token else pixels_NP3.mean((0, 1))[None]
        return colours


class ControlTargets(Mapping[int, Tensor]):
    """The label of each sample's type, or a map [T, H, W] of those of its tokens' types on the finest grid."""

    def __init__(self, control: Control, task: Task, targets: Mapping[int, Tensor]) -> None:
        self._control, self._task, self._targets = control, task, targets
        self._per_token = task.targets_from == "cells"
        self._types: dict[int, np.ndarray] = {}

    def __getitem__(self, row: int) -> Tensor:
        if row not in self._targets:
            raise KeyError(row)
        if row not in self._types:
            self._types[row] = self._types_of(row)
        labels = self._labels[torch.from_numpy(self._types[row]).long()]
        if not self._per_token:
            return labels[0]
        unknown = self._own_labels(row) < 0
        return labels.masked_fill(unknown, NO_ANSWER).view(self._control.patches.grid(row))

    def __iter__(self) -> Iterator[int]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def _types_of(self, row: int) -> np.ndarray:
        """Returns the type of the sample, or of each token, [N] uint8."""
        colours_N3 = self._control.colours(row, per_token=self._per_token)
        steps_N3 = (colours_N3[:, None] > self._steps).sum(1)
        types: np.ndarray = (steps_N3 @ np.array([STEPS**2, STEPS, 1])).astype(np.uint8)
        return types

    @cached_property
    def _steps(self) -> np.ndarray:
        """The bounds of the steps, [STEPS - 1, 3]."""
        rows = self._control.fitted_rows(self._targets)
        colours = np.concatenate([self._control.colours(row, per_token=self._per_token) for row in rows])
        bounds: np.ndarray = np.quantile(colours, np.arange(1, STEPS) / STEPS, axis=0)
        return bounds

    @cached_property
    def _labels(self) -> Tensor:
        """A label for each type, drawn by its hash from the training labels."""
        labels = torch.cat([self._own_labels(row) for row in self._control.fitted_rows(self._targets)]).sort().values
        known = labels[labels >= 0] if self._per_token else labels
        draws = [position(f"control label {number}") for number in range(STEPS**3)]
        return torch.stack([known[int(draw * len(known))] for draw in draws])

    def _own_labels(self, row: int) -> Tensor:
        """Returns the true labels of a sample, one or those of its tokens."""
        target = self._targets[row]
        if not self._per_token:
            return target.view(1)
        grid: Grid = self._control.patches.grid(row)
        return self._task.target_class(target, grid_cells(grid))
