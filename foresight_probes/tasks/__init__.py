"""Tasks, one file each. This folder is the registry: a file `patch_class.py` is the task `patch-class`.

A task says what a head must predict from a sample's annotations, how wrong a prediction is, and what is reported.
To add one, add a file with a class `Task` that has the members of the protocol below.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from foresight_cache.errors import UnknownName

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from foresight_probes.batches import Outputs, Prediction


class Task(Protocol):
    """What a probe predicts. Made without arguments; holds no state that training changes."""

    heads: tuple[str, ...]
    """Heads that are trained unless others are named."""
    primary: str
    """The metric that selects the epoch and is drawn over points; higher is better."""
    constant_head: str
    """The head that, on features without information, is the best constant answer: the mean predictor."""
    outputs: Outputs

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """The target of one row of a cache's sample table; None where it has no question for this task."""
        ...

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        """A scalar to be made small: the mean over the samples of the batch, of which there is at least one."""
        ...

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> list[np.ndarray]:
        """For each sample a float64 array, all that the metrics need to know about it."""
        ...

    def metrics(self, scores: Sequence[np.ndarray]) -> dict[str, float]:
        """Metrics of these samples together, by name; `primary` is among them."""
        ...

    def breakdown(self, scores: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
        """The same for parts of the samples, by the part's name; may be empty."""
        ...


def names() -> tuple[str, ...]:
    """Tasks, by file name; nothing is imported.

    >>> "boxes" in names()
    True
    """
    return tuple(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Task:
    """Raises `UnknownName`."""
    if name not in names():
        raise UnknownName("task", name, names())
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return cast(Task, module.Task())
