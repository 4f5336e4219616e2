"""Tasks (boxes, order, speed, …), one file each. This folder is the registry: `patch_class.py` is `patch-class`.

A task gives targets made from a sample's annotations, the loss of a prediction, and the metrics that are reported.
To add one, add a file with a class `Task` that derives from the one below and has its abstract methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from foresight_cache.registry import Registry
from foresight_cache.samples import Grid
from foresight_probes.batches import Features, Form, OutputSpec, Prediction

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from foresight_probes.constant_answer import Answered, ConstantAnswer
    from foresight_probes.metrics import Scores


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskContext:
    """Samples and settings that a task is made for."""

    samples: Sequence[Mapping[str, Any]] = ()
    """Usable rows of the cache's sample table, which tell the classes and sizes that there are."""
    training: Sequence[Mapping[str, Any]] = ()
    """Rows of the training split, which targets are scaled by."""
    column: str | None = None
    """Column of the table whose classes are asked for; None for the first annotation that is a class."""
    perceptual_weight: float = 0.0
    """Weight of LPIPS beside the squared error in the loss of pictures."""
    lpips_net: str = "alex"
    """Trunk of the perceptual distance: alex, vgg or squeeze."""
    lpips_weights: Path | None = None
    """Folder with the trunk's weights; None for torch's cache of downloads."""


class Task(ABC):
    """A question that a probe answers: targets, loss and metrics. It holds no state that training changes."""

    heads: tuple[str, ...]
    """Heads that are trained unless others are named."""
    primary: str
    """The metric that selects the epoch and is drawn over points; higher is better, which others need not be."""
    metric_names: tuple[str, ...]
    """Metrics that are reported where they are defined, `primary` first."""
    annotations: tuple[str, ...] = ()
    """Kinds of annotation of which a sample must have one to have a target; empty where it needs none."""
    outputs: OutputSpec
    """Predictions that it takes from any head."""
    needs_arrays: tuple[str, ...] = ()
    """Points of the cache that `target` needs, and finds in the sample by name: `pixels`, uint8 [T, H, W, 3], and
    `labels`, uint8 [T, H, W]. Such targets are made batch by batch."""
    transforms_batch: bool = False
    """True where `transform_batch` changes anything."""
    targets_from: Literal["sample", "cells", "features"] = "sample"
    """What targets are made of: the sample alone, also the cells of a point's tokens, or even the tokens. It decides
    whether the best constant answer is the same for all points."""
    plants_answers: bool = False
    """True where `transform_batch` puts the answer into the features, so that those of any sample have it."""
    closed_form: Literal["class", "values"] | None = None
    """The method, `target_class` or `target_values`, that gives a closed form its targets; None where there is none."""
    start_forms: tuple[Form, ...] = ()
    """Forms of prediction for which `start_values` tells what a perfect head predicts."""
    has_classes: bool = False
    """True where targets hold classes, which `classes_of` returns."""
    not_measured: Mapping[str, str] = {}
    """Metrics that cannot be measured here, each with the reason in a sentence."""

    def __init__(self, context: TaskContext) -> None:  # noqa: B027 - most tasks need to know nothing
        """Raises `ProbeError` for samples that cannot be used, and `UnknownName` for a setting that does not exist."""

    def outputs_for(self, *, width: int, grid: Grid) -> OutputSpec:  # noqa: ARG002 - most tasks ask the same of all
        """Returns the predictions that it takes from a head on a point of this width, whose largest grid is `grid`.

        Raises `ProbeError` for a point on which no head can answer.
        """
        return replace(self.outputs, grid=grid)

    def has_target(self, sample: Mapping[str, Any]) -> bool:
        """Tells whether a row of a cache's sample table has a target, without its dense arrays."""
        return self.target(sample) is not None

    @abstractmethod
    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the target of one row of a cache's sample table; None where it has none for this task."""

    def transform_batch(self, features: Features, targets: Sequence[Tensor]) -> tuple[Features, Sequence[Tensor]]:
        """Returns the features that heads see and the targets that `loss` and `scores` take, where these need both.

        Features are standardised. Called once per batch, for all heads together, where `transforms_batch` is true.
        """
        return features, targets

    def classes_of(self, target: Tensor) -> Tensor:
        """Returns the classes that a target, as `target` makes it, asks for: each once, int64 [K]."""
        raise NotImplementedError

    def class_name(self, number: int) -> str:
        """Returns the name of a class by its number, for people."""
        return str(number)

    def target_class(self, target: Tensor, cells: Tensor) -> Tensor:
        """Returns the class of the highest logit of a perfect head, int64: a scalar, or [N] of the cells [N, 4].

        A class below 0 is not known.
        """
        raise NotImplementedError

    def target_values(self, target: Tensor, cells: Tensor) -> Tensor:
        """Returns the values that a perfect head would predict, float32: [1, C], or [N, C] of the cells [N, 4]."""
        raise NotImplementedError

    def start_values(self, target: Tensor, cells: Tensor | None) -> Tensor:
        """Returns values that a perfect head would predict, from which heads that are trained start.

        They are float32 [N, C] for the cells [N, 4], or [P, C] for the whole sample where `cells` is None; NaN where a
        value does not matter. Where there are `target_values` it is these. A task of classes is started from logits.
        """
        if self.closed_form != "values":
            raise NotImplementedError
        return self.target_values(target, cells if cells is not None else target.new_empty(0, 4))

    def start_groups(self, channels: int) -> list[list[int]]:
        """Returns the columns of `start_values`, in groups of which a row has all or none."""
        return [list(range(channels))]

    @abstractmethod
    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns the answer without features that is best, by `primary`, on training samples, of which there is one.

        It is computed and not trained, so that it depends on the targets alone. `targets` are those after
        `transform_batch`.
        """

    @abstractmethod
    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        """Returns the mean loss over the samples of the batch, a scalar; there is at least one sample."""

    @abstractmethod
    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns for each sample a flat float64 array, all that the metrics need to know about it."""

    def selection_scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns `scores`, or those that `primary` needs and NaN for costly ones, for use after each epoch."""
        return self.scores(prediction, targets)

    @abstractmethod
    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        """Returns metrics of R resamples by name, [R] float64 each, NaN where undefined.

        `counts_RS` says how often each resample has each of the scored samples.
        """

    def metrics(self, scores: Scores) -> dict[str, float]:
        """Returns the metrics of these samples by name; undefined ones are left out."""
        from foresight_probes.metrics.resamples import point_estimate

        return point_estimate(self.resampled_metrics, scores)

    def selection_value(self, scores: Scores) -> float:
        """Returns `primary` of these samples, NaN where undefined, for use after each epoch."""
        return self.metrics(scores).get(self.primary, math.nan)

    def breakdown(self, scores: Scores) -> dict[str, dict[str, float]]:  # noqa: ARG002
        """Returns metrics of parts of the samples, by the part's name."""
        return {}


_REGISTRY = Registry(__name__, "task", hyphens=True, variable="Task")


def names() -> tuple[str, ...]:
    """Lists the tasks in alphabetical order; imports none of them.

    >>> "boxes" in names()
    True
    """
    return _REGISTRY.names()


def module_name(name: str) -> str:
    """Returns the dotted name of the file of a task, without importing it. Raises `UnknownName`."""
    return _REGISTRY.module_name(name)


def summaries() -> dict[str, str]:
    """Returns one sentence about each task by name, in alphabetical order; imports none of them."""
    return _REGISTRY.summaries()


def load(name: str, context: TaskContext | None = None) -> Task:
    """Makes a task. Raises `UnknownName`, and what the task raises for its context."""
    return cast(Task, _REGISTRY.component(name)(context or TaskContext()))
