"""The controls of a sweep: their runs, beside those of its points, and the targets that these need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache, open_cache
from foresight_probes import controls as registry
from foresight_probes import heads
from foresight_probes.controls import Control, ControlContext, controlled
from foresight_probes.features.datamodule import Targets
from foresight_probes.features.sources import Source, open_sources
from foresight_probes.splits import SIDES, Split
from foresight_probes.tasks import Task
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.solvers import solver_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepControls:
    """Controls of a sweep, by name."""

    controls: Mapping[str, Control] = field(default_factory=dict)

    def sources(self, cache: Cache, place: str) -> Sequence[Source]:
        """Opens the features of a point, or of a point as a control changes it."""
        point, name = registry.parts(place)
        return self.controls[name].sources(point) if name else open_sources(cache, point)

    def runs(
        self, wanted: Mapping[str, Sequence[RunSpec]], tasks: Mapping[str, Task], seed: int
    ) -> dict[str, list[RunSpec]]:
        """Returns the runs of all controls by the place of their pass: one for each task and head of a point.

        Those on features of their own come first, so that they are there when a point's own runs are finished.
        """
        places: dict[str, list[RunSpec]] = {}
        for name, control in sorted(self.controls.items(), key=lambda item: not item[1].changes_features):
            for point, runs in wanted.items():
                beside = self.beside(name, point, wanted)
                for task, head in dict.fromkeys((run.task, run.head) for run in runs) if beside else ():
                    fits = control.fits(tasks[task]) and control.trains(solver_of(tasks[task], head))
                    if beside and fits and not (heads.takes_several(head) and beside != point):
                        places.setdefault(beside, []).append(RunSpec(controlled(task, name), head, seed))
        return {place: list(dict.fromkeys(runs)) for place, runs in places.items()}

    def beside(self, name: str, point: str, points: Mapping[str, object]) -> str | None:
        """Returns the place of the pass in which a control's runs for a point are found; None where there is none.

        The point `pixels` of the sweep itself needs none.
        """
        control = self.controls[name]
        own = control.point_for(point)
        if own is None or (own == PIXELS and PIXELS in points and control.changes_features):
            return None
        return controlled(own, name) if control.changes_features else own

    def targets(
        self,
        runs: Mapping[str, Sequence[RunSpec]],
        tasks: Mapping[str, Task],
        targets: Targets,
    ) -> tuple[dict[str, Task], dict[str, Mapping[int, Tensor]]]:
        """Returns the tasks and targets of these runs of controls and of their copies, by name.

        A control that leaves a side of the split without a target is left out.
        """
        more_tasks: dict[str, Task] = {}
        more_targets: dict[str, Mapping[int, Tensor]] = {}
        for name in dict.fromkeys(run.task for of_place in runs.values() for run in of_place):
            task, control = registry.parts(name)
            copies = [(name, 0), *((copy_name(name, copy), copy) for copy in range(self.controls[control].copies))]
            made = {own: self.controls[control].targets(tasks[task], targets[task], copy) for own, copy in copies}
            split = self.controls[control].context.split
            if all(made[name].keys() & set(split.rows(side)) for side in SIDES):
                more_tasks |= dict.fromkeys(made, tasks[task])
                more_targets |= made
        return more_tasks, more_targets

    def copies(self, run: RunSpec) -> list[RunSpec]:
        """Returns the runs that are trained for a run: itself, or each copy of a control."""
        control = registry.parts(run.task)[1]
        count = self.controls[control].copies if control else 1
        if count == 1:
            return [run]
        return [RunSpec(copy_name(run.task, copy), run.head, run.seed) for copy in range(count)]


def copy_name(task: str, copy: int) -> str:
    """Returns the name of a copy of a control's task.

    >>> copy_name("counting~label-shuffle", 3)
    'counting~label-shuffle~03'
    """
    return controlled(task, f"{copy:02d}")


def open_controls(names: Sequence[str], cache: Cache, split: Split, twin: str | Path | None) -> SweepControls:
    """Makes the controls of a sweep. Raises `UnknownName`, and `ProbeError` for a twin that is none."""
    context = ControlContext(cache=cache, split=split, twin=None if twin is None else open_cache(twin))
    return SweepControls(controls={name: registry.load(name, context) for name in dict.fromkeys(names)})
