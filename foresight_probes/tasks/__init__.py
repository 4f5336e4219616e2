"""Tasks, one file each. This folder is the registry: a file `patch_class.py` is the task `patch-class`.

A task says what a head must predict from a sample's annotations, how wrong a prediction is, and what is reported.
To add one, add a file with a class `Task` that derives from the one below and has its abstract methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from foresight_cache.registry import Registry
from foresight_cache.samples import Grid
from foresight_probes.batches import Features, OutputSpec, Prediction

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from foresight_probes.results.scores import Scores


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskContext:
    """What a task is made for."""

    samples: Sequence[Mapping[str, Any]] = ()
    """The sound rows of the cache's sample table: which classes and sizes there are."""
    training: Sequence[Mapping[str, Any]] = ()
    """Those of the training split: what targets are scaled by."""
    lpips_net: str = "alex"
    """Trunk of the perceptual distance: alex, vgg or squeeze."""
    lpips_weights: Path | None = None
    """Folder with the trunk's weights; None for torch's cache of downloads."""


class Task(ABC):
    """What a probe predicts. Holds no state that training changes."""

    heads: tuple[str, ...]
    """Heads that are trained unless others are named."""
    primary: str
    """The metric that selects the epoch and is drawn over points; higher is better, which others need not be."""
    outputs: OutputSpec
    """What it asks of any head."""
    constant_head: str | None = "pooled-linear"
    """The head that, on features without information, is the best constant answer: the mean predictor."""
    chance: Mapping[str, float] = {}
    """Metrics of the best constant answer where they are known without training and there is no `constant_head`."""
    needs_arrays: tuple[str, ...] = ()
    """Points of the cache without which `target` cannot answer. It finds what the cache has of them in the sample,
    by name: `pixels`, uint8 [T, H, W, 3], and `labels`, uint8 [T, H, W]. Such targets are made batch by batch."""
    transforms_batch: bool = False
    """True where `transform_batch` changes anything."""
    closed_form: Literal["class", "values"] | None = None
    """The method, `target_class` or `target_values`, that gives a closed form its targets; None where there is none."""
    not_measured: Mapping[str, str] = {}
    """Metrics that cannot be measured here, each with the reason in a sentence."""

    def __init__(self, setting: TaskContext) -> None:  # noqa: B027 - most tasks need to know nothing
        """Raises `ProbeError` where the samples cannot be used, and `UnknownName` for a setting that does not exist."""

    def outputs_for(self, *, width: int, grid: Grid) -> OutputSpec:  # noqa: ARG002 - most tasks ask the same of all
        """What it asks of a head on a point of this width, whose largest grid is `grid`. Raises `ProbeError`."""
        return replace(self.outputs, grid=grid)

    def has_target(self, sample: Mapping[str, Any]) -> bool:
        """Whether it has a question for one row of a cache's sample table, told without its dense arrays."""
        return self.target(sample) is not None

    @abstractmethod
    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """The target of one row of a cache's sample table; None where it has no question for this task."""

    def transform_batch(self, features: Features, targets: Sequence[Tensor]) -> tuple[Features, Sequence[Tensor]]:
        """What the heads see of a batch and what `loss` and `scores` compare with, where that depends on both.

        Features are standardised. Called once per batch, for all heads together, where `prepares` is true.
        """
        return features, targets

    def target_class(self, target: Tensor, cells: Tensor) -> Tensor:
        """Returns the class of the highest logit of a perfect head, int64: a scalar, or [N] of the cells [N, 4].

        A class below 0 is not known.
        """
        raise NotImplementedError

    def target_values(self, target: Tensor, cells: Tensor) -> Tensor:
        """Returns the values that a perfect head would predict, float32: [1, C], or [N, C] of the cells [N, 4]."""
        raise NotImplementedError

    @abstractmethod
    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        """A scalar to be made small: the mean over the samples of the batch, of which there is at least one."""

    @abstractmethod
    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """For each sample a flat float64 array, all that the metrics need to know about it."""

    def selection_scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """The same, or as much of it as `primary` needs and NaN for what is costly, after each epoch of training."""
        return self.scores(prediction, targets)

    @abstractmethod
    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Metrics of resamples of these samples, by name; `counts` [R, N] say how often each has each sample.

        Returns: [R] float64 of each, NaN where it is undefined.
        """

    def metrics(self, scores: Scores) -> dict[str, float]:
        """Metrics of these samples together, by name; those that are undefined for them are left out."""
        from foresight_probes.metrics.resamples import point_estimate

        return point_estimate(self.summaries, scores)

    def breakdown(self, scores: Scores) -> dict[str, dict[str, float]]:  # noqa: ARG002
        """The same for parts of the samples, by the part's name."""
        return {}


_REGISTRY = Registry(__name__, "task", hyphens=True)


def names() -> tuple[str, ...]:
    """Tasks, by file name; nothing is imported.

    >>> "boxes" in names()
    True
    """
    return _REGISTRY.names()


def load(name: str, setting: TaskContext | None = None) -> Task:
    """Raises `UnknownName`, and what the task raises for its setting."""
    return cast(Task, _REGISTRY.module(name).Task(setting or TaskContext()))
