"""The candidates for a run: inputs, step sizes and weight decays, of which validation chooses one.

There is one grid for all points, so that none has a larger budget than another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from foresight_probes import heads
from foresight_probes.features.views import CHANNELS, LEADING, START
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import Task
from foresight_probes.training.run_spec import RunSpec

RATES = (0.3, 1.0, 3.0)
"""Step sizes, in those at which a head of its kind learns well."""
DECAYS = (1.0, 10.0)
"""Weight decays, in that of the options, of heads that read means and are not linear: they fit anything soon."""
POOLED_INPUTS = (CHANNELS, f"{LEADING}16", f"{LEADING}48", f"{LEADING}128")
TOKEN_INPUTS = (f"{LEADING}48", f"{LEADING}128")
LINEAR_INPUTS = (START, f"{LEADING}128")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run with one of the values that may be chosen for it."""

    run: RunSpec
    """The run that was asked for."""
    inputs: str
    """Name of the view; empty for the point's features themselves."""
    trial: RunSpec
    """The run with a step size and a weight decay."""

    def __str__(self) -> str:
        return f"{self.trial}/{self.inputs}" if self.inputs else str(self.trial)


def grouped(
    runs: Sequence[RunSpec], tasks: Mapping[str, Task], options: TrainingOptions, widths: Sequence[int]
) -> list[list[Candidate]]:
    """Returns the candidates for runs on points of these widths, in groups that are trained in the same passes.

    Those of a group see the points in the same view, or as they are.
    """
    shared: dict[tuple[str, ...], list[Candidate]] = {}
    for run in runs:
        task = tasks[run.task]
        viewed = task.targets_from != "features" and len(widths) == 1
        for own in candidates(run, task, options, sum(widths), viewed=viewed):
            key = (run.task, own.inputs, *((run.head,) if own.inputs else ()))
            shared.setdefault(key, []).append(own)
    return list(shared.values())


def candidates(run: RunSpec, task: Task, options: TrainingOptions, width: int, *, viewed: bool) -> list[Candidate]:
    """Returns the candidates for a run on a point of this width; `viewed` where heads see it through views."""
    own = run.options(options)
    peak = heads.load(run.head).learning_rate
    rates = (own.learning_rate,) if own.learning_rate else tuple(peak * factor for factor in RATES)
    decays = _decays(run, own.weight_decay, viewed=viewed)
    trials = [
        replace(run, learning_rate=rate, weight_decay=decay) for rate, decay in product(rates, dict.fromkeys(decays))
    ]
    inputs = _inputs(run.head, task, width) if viewed else ("",)
    return [Candidate(run, name, trial) for name in inputs for trial in trials]


def _decays(run: RunSpec, decay: float, *, viewed: bool) -> tuple[float, ...]:
    """A linear head that starts from what was solved is not drawn to zero."""
    if run.weight_decay is not None:
        return (decay,)
    if heads.is_linear_head(run.head):
        return (0.0,) if viewed else (decay,)
    return (decay,) if heads.reads_tokens(run.head) else tuple(decay * factor for factor in DECAYS)


def _inputs(head: str, task: Task, width: int) -> tuple[str, ...]:
    """Names of views, each once: as many leading directions as there are channels would be all of them."""
    names = _names(head, task)
    fewer = [name for name in names if not name.startswith(LEADING) or int(name.removeprefix(LEADING)) < width]
    return tuple(dict.fromkeys([*fewer, *([CHANNELS] if len(fewer) < len(names) else [])]))


def _names(head: str, task: Task) -> tuple[str, ...]:
    own = heads.load(head)
    if own.is_linear and task.start_forms:
        return LINEAR_INPUTS
    return POOLED_INPUTS if own.reads == "pooled" else TOKEN_INPUTS
