"""Runs of a bank, and what is selected for each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from foresight_probes.options import TrainingOptions


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run of a bank."""

    task: str
    head: str
    seed: int
    learning_rate: float | None = None
    """Peak step size where it is one of a grid; None for that of the options or the head's own."""
    weight_decay: float | None = None
    """The same."""

    def __str__(self) -> str:
        return f"{self.task}/{self.name}"

    @property
    def name(self) -> str:
        """Without the task.

        >>> RunSpec("boxes", "mlp", 1, learning_rate=0.001).name
        'mlp-lr0.001-seed1'
        """
        rate = "" if self.learning_rate is None else f"-lr{self.learning_rate:g}"
        decay = "" if self.weight_decay is None else f"-wd{self.weight_decay:g}"
        return f"{self.head}{rate}{decay}-seed{self.seed}"

    def options(self, options: TrainingOptions) -> TrainingOptions:
        """Those of a sweep with the member's own values in their place."""
        rate = options.learning_rate if self.learning_rate is None else self.learning_rate
        decay = options.weight_decay if self.weight_decay is None else self.weight_decay
        return replace(options, learning_rate=rate, weight_decay=decay)


@dataclass(slots=True)
class BestEpoch:
    """A member's best epoch so far, by the primary metric on the validation split."""

    value: float = -math.inf
    epoch: int = 0
    """Counted from 1; 0 before the first."""
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    penalty: float | None = None
    """Of the penalty, where that is what was selected."""
