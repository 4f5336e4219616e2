"""Runs that are trained together, their heads, and the best epoch of each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.controls import parts
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.options import TrainingOptions
from foresight_probes.results.scores import Gathered
from foresight_probes.tasks import Task
from foresight_probes.training.step_sizes import StepSize


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One head for one task from one seed, with its values of a grid."""

    task: str
    head: str
    seed: int
    learning_rate: float | None = None
    """Peak step size where it is one of a grid; None for that of the options or the head's own."""
    weight_decay: float | None = None
    """Weight decay where it is one of a grid; None for that of the options."""

    def __str__(self) -> str:
        return f"{self.task}/{self.name}"

    @property
    def name(self) -> str:
        """Name of the run among those of its task and point.

        >>> RunSpec("boxes", "mlp", 1, learning_rate=0.001).name
        'mlp-lr0.001-seed1'
        """
        rate = "" if self.learning_rate is None else f"-lr{self.learning_rate:g}"
        decay = "" if self.weight_decay is None else f"-wd{self.weight_decay:g}"
        return f"{self.head}{rate}{decay}-seed{self.seed}"

    def options(self, options: TrainingOptions) -> TrainingOptions:
        """Returns the options of a sweep with the run's own values, and without those of other tasks."""
        rate = options.learning_rate if self.learning_rate is None else self.learning_rate
        decay = options.weight_decay if self.weight_decay is None else self.weight_decay
        return replace(options.of_task(parts(self.task)[0]), learning_rate=rate, weight_decay=decay)

    def step_size(self, options: TrainingOptions) -> StepSize:
        """Returns the peak step size and the decay: its own, those of the options, else its head's.

        They are 0 for a head that is solved in closed form.
        """
        head, own = heads.load(self.head), self.options(options)
        if head.solver:
            return StepSize(0.0, 0.0)
        peak = own.learning_rate or head.learning_rate
        return StepSize(peak, peak * own.weight_decay)


def build_heads(
    runs: Sequence[RunSpec], tasks: Mapping[str, Task], standardization: Standardization, grid: Grid
) -> list[ProbeHead]:
    """Returns a head with random weights for each run, for features as they are standardised.

    `grid` is the largest of the samples' grids.
    """
    widths = tuple(len(point.token_mean) for point in (standardization, *standardization.others))
    outputs = {name: task.outputs_for(width=sum(widths), grid=grid) for name, task in tasks.items()}
    return [heads.build(run.head, width=widths, outputs=outputs[run.task], seed=run.seed) for run in runs]


@dataclass(slots=True)
class BestEpoch:
    """The best epoch of a run so far, by the primary metric on the validation split."""

    value: float = -math.inf
    epoch: int = 0
    """Counted from 1; 0 before the first."""
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    penalty: float | None = None
    """The penalty that was selected, of a head that is solved with several."""
    scores: Gathered = field(default_factory=Gathered)
    """Scores of the validation samples, as many as selection needs."""
