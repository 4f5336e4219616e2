"""The plan of a sweep: its runs, which of them are finished, and what they are trained on. It is made once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foresight_cache.errors import UsageError
from foresight_cache.reader import Cache
from foresight_probes import heads as registry
from foresight_probes.batches import OutputSpec
from foresight_probes.controls import parts
from foresight_probes.controls.mean_predictor import CONSTANT, MEAN_PREDICTOR
from foresight_probes.features.datamodule import Targets
from foresight_probes.features.sources import POINT_SEPARATOR
from foresight_probes.results.result import Result
from foresight_probes.splits import Split, joined, resplit
from foresight_probes.sweeps.controls import SweepControls, open_controls
from foresight_probes.sweeps.divisions import WHOLE, Division
from foresight_probes.sweeps.failed_runs import FailedRun
from foresight_probes.sweeps.identity import RunStore
from foresight_probes.sweeps.learnable import ClassCounts, class_remarks
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.sweeps.targets import TaskTargets, load_targets
from foresight_probes.tasks import Task
from foresight_probes.training.closed_forms import samples_seen
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.search import most_epochs
from foresight_probes.training.solvers import solvable, solver_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPlan:
    """The runs of a sweep on a cache, finished and pending, with the targets that they need."""

    cache: Cache
    sweep: Sweep
    root: Path
    """Folder of the sweep's results, of all of its divisions."""
    out: Path
    """Folder of the results of this one."""
    store: RunStore
    """The same folder, asked for finished runs."""
    runs: Mapping[str, tuple[RunSpec, ...]]
    """All runs by point, finished or not, those of folds each once."""
    pending: Mapping[str, tuple[RunSpec, ...]]
    """Runs that are to be trained by point, in this order: first the mean predictor, then controls on features of their
    own, then the order of computation. Controls of targets are among the runs of their point."""
    finished: tuple[Result, ...]
    """Results that are there already, from the same cache, split and recipe."""
    failed: tuple[FailedRun, ...]
    """Runs that failed before and would again, controls left out."""
    left_out: tuple[str, ...]
    """Heads that were named but do not fit a task, each in a few words."""
    classes: Mapping[str, ClassCounts]
    """Classes on each side of the split, of tasks that have some."""
    split: Split
    targets: Targets
    """Targets of tasks, and of tasks as controls change them, by name."""
    tasks: Mapping[str, Task]
    """Tasks by the same names."""
    controls: SweepControls
    division: Division = WHOLE
    folds: tuple["SweepPlan", ...] = ()
    """Plans of folds, in whose place nothing is pending here."""
    refits: tuple["SweepPlan", ...] = ()
    """Plans in which all is fitted again, without controls."""

    @property
    def samples(self) -> int:
        """Samples that will be seen at most, all epochs together: what `advance` counts up to.

        They are fewer where heads converge before the last round. Closed forms count each pass, and logistic regression
        the training samples once for each penalty; those that trained heads start from do not count.
        """
        own = sum(self._samples(point, runs) for point, runs in self.pending.items() if point != MEAN_PREDICTOR)
        return own + sum(part.samples for part in (*self.folds, *self.refits))

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of the classes of tasks, in sentences."""
        named = self.classes.items()
        own = [remark for name, counts in named for remark in class_remarks(name, self.tasks[name], counts)]
        return [
            *own,
            *(f"fold {number}: {remark}" for number, fold in enumerate(self.folds) for remark in fold.remarks),
        ]

    def limited_to(self, points: Iterable[str]) -> "SweepPlan":
        """Returns the plan with the pending runs of these points alone, and without what failed before."""
        pending = {point: runs for point, runs in self.pending.items() if point in set(points)}
        return replace(self, pending=pending, failed=())

    def _samples(self, point: str, runs: Sequence[RunSpec]) -> int:
        """Returns how many samples the runs on a point will report at most, trained and solved ones together."""
        options = self.sweep.options
        solvers = {run: solver_of(self.tasks[run.task], run.head) for run in runs}
        closed = {run: solver for run, solver in solvers.items() if solver}
        trained = 0
        if stepwise := [run for run in runs if run not in closed]:
            widths = [source.width for source in self.controls.sources(self.cache, point)]
            trained = len(self.split.train) * most_epochs(stepwise, self.tasks, options, widths)
        if not closed:
            return trained
        groups = [sample["group"] for sample in self.cache.rows]
        splits = {seed: resplit(self.split, groups, seed) for seed in {run.seed for run in closed}}
        return trained + samples_seen(
            list(closed.values()), [splits[run.seed] for run in closed], len(options.strengths)
        )


def plan_sweep(cache: Cache, sweep: Sweep, out: Path, division: Division = WHOLE) -> SweepPlan:
    """Reads annotations and finished results, and writes nothing.

    Raises `UnknownName` with the nearest names; `UsageError` where head and task do not fit; `ProbeError` where a
    split is empty or `out` holds a result of the same name from another cache or recipe.

    Args:
        cache: A cache.
        sweep: What is wanted of it.
        out: Folder of the sweep's results, of all of its divisions.
        division: The way in which samples are divided; one that is no fold and no refit has plans of these.
    """
    is_part = division.fold is not None or division.refit is not None
    numbers = range(0 if is_part else _require_parts(cache, sweep.options.refits))
    refits = tuple(plan_sweep(cache, sweep, out, replace(division, refit=number)) for number in numbers)
    if sweep.options.folds and division.fold is None:
        folds = [plan_sweep(cache, sweep, out, replace(division, fold=fold)) for fold in range(sweep.options.folds)]
        return _of_folds(folds, division.folder(out), refits)
    return replace(_of_split(cache, sweep, out, division), refits=refits)


def _require_parts(cache: Cache, refits: int) -> int:
    """Raises `UsageError` for more parts than there are groups to be left out."""
    groups = {sample["group"] for sample in cache.rows if sample["status"] == "ok"}
    if refits > len(groups):
        raise UsageError(
            f"refits is {refits}, expected at most one for each of the {len(groups)} groups of samples in {cache.path}"
        )
    return refits


def _of_folds(folds: Sequence[SweepPlan], out: Path, refits: tuple[SweepPlan, ...]) -> SweepPlan:
    """Returns the plan of all folds together, which has the tasks and controls of the first."""
    split = joined([fold.split for fold in folds])
    return replace(
        folds[0],
        out=out,
        store=replace(folds[0].store, out=out, split=split, of_fold=False),
        pending={},
        finished=(),
        failed=(),
        classes={},
        split=split,
        division=replace(folds[0].division, fold=None),
        folds=tuple(folds),
        refits=refits,
    )


def _of_split(cache: Cache, sweep: Sweep, root: Path, division: Division) -> SweepPlan:
    out = division.folder(root)
    chosen = None if sweep.heads is None else registry.resolve(sweep.heads)
    points = _points(cache, sweep.points)
    data = load_targets(cache, sweep.tasks, sweep.options, sweep.lpips_weights, division)
    is_refit = division.refit is not None
    runs = {} if is_refit else {MEAN_PREDICTOR: _constant_runs(data.tasks)}
    own = {point: _runs(data, sweep, chosen, several=POINT_SEPARATOR in point) for point in points}
    controls = open_controls(() if is_refit else sweep.controls, cache, data.split, sweep.twin)
    beside = controls.runs(own, data.tasks, sweep.seeds[0])
    tasks, targets = controls.targets(beside, data.tasks, data.targets)
    beside = {place: [run for run in of_place if run.task in tasks] for place, of_place in beside.items()}
    runs |= {place: [] for place in beside} | own
    runs = {place: [*of_place, *beside.get(place, ())] for place, of_place in runs.items()}
    store = RunStore(
        cache=cache,
        split=data.split,
        options=sweep.options,
        out=out,
        controls=controls.controls,
        tasks={**data.tasks, **tasks},
        of_fold=division.fold is not None,
    )
    results = {(point, run): store.finished(point, run) for point, wanted in runs.items() for run in wanted}
    failed = {key: known for key, result in results.items() if not result and (known := store.failed(*key))}
    settled = {key for key, result in results.items() if result} | failed.keys()
    pending = {point: tuple(run for run in wanted if (point, run) not in settled) for point, wanted in runs.items()}
    return SweepPlan(
        cache=cache,
        sweep=sweep,
        root=root,
        out=out,
        store=store,
        runs={point: tuple(wanted) for point, wanted in runs.items()},
        pending={point: left for point, left in pending.items() if left},
        finished=tuple(result for result in results.values() if result),
        failed=tuple(own for (_, run), own in failed.items() if not parts(run.task)[1]),
        left_out=_left_out(data.tasks, chosen or (), [run for wanted in own.values() for run in wanted]),
        classes=data.classes,
        split=data.split,
        targets={**data.targets, **targets},
        tasks={**data.tasks, **tasks},
        controls=controls,
        division=division,
    )


def _constant_runs(tasks: Mapping[str, Task]) -> list[RunSpec]:
    """Returns the mean predictor of each task whose targets are the same for all points, whatever the seeds."""
    return [RunSpec(name, CONSTANT, 0) for name, task in tasks.items() if task.targets_from != "features"]


def _runs(data: TaskTargets, sweep: Sweep, chosen: Sequence[str] | None, *, several: bool) -> list[RunSpec]:
    """Returns all runs on one point, or on several points at once."""
    runs = []
    for name, task in data.tasks.items():
        outputs = task.outputs_for(width=1, grid=data.grid)
        own = _heads(name, outputs, task, chosen, several=several, one_grid=data.has_one_grid)
        runs += sweep.runs(name, own, solved=[head for head in own if solver_of(task, head)])
    return runs


def _left_out(tasks: Iterable[str], chosen: Iterable[str], runs: Sequence[RunSpec]) -> tuple[str, ...]:
    used = {(run.task, run.head) for run in runs}
    return tuple(
        f"{head} does not fit the task {name}" for name in tasks for head in chosen if (name, head) not in used
    )


def _points(cache: Cache, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Returns single points in the order of computation, then those that are taken together, as they are named."""
    if texts is None:
        return cache.points
    together = []
    for text in texts:
        if POINT_SEPARATOR in text:
            together.append(POINT_SEPARATOR.join(_joined(cache, text)))
    single = [text for text in texts if POINT_SEPARATOR not in text]
    names = (*(cache.select(single) if single else ()), *together)
    if not names:
        raise UsageError(f"no point was named; {cache.path} has {', '.join(cache.points)}")
    return tuple(dict.fromkeys(names))


def _joined(cache: Cache, text: str) -> list[str]:
    """Returns the points that are taken together. Raises `UsageError`, and `UnknownName` with the nearest names."""
    texts = [part.strip() for part in text.split(POINT_SEPARATOR)]
    if "" in texts:
        raise UsageError(f"{text!r} lacks a point beside a {POINT_SEPARATOR}; name single ones, as in E4+E5")
    points = [cache.select([single]) for single in texts]
    if any(len(names) != 1 for names in points):
        raise UsageError(f"{text!r} joins patterns that name several points; name single ones, as in E4+E5")
    names = [name for (name,) in points]
    if len(set(names)) < len(names):
        raise UsageError(f"{text!r} names a point twice; name each once, as in E4+E5")
    return names


def _heads(
    name: str, outputs: OutputSpec, task: Task, chosen: Sequence[str] | None, *, several: bool, one_grid: bool
) -> list[str]:
    """Returns those of the chosen heads that fit the task, or its own. Raises `UsageError` where none does."""

    def fits(head: str) -> bool:
        of_points = registry.takes_several(head) or not several
        own = registry.load(head)
        of_grids = one_grid or not own.needs_one_grid
        # training looks at tokens in views, which do not go with time steps side by side
        rearranges = getattr(own, "rearranges", False)
        of_steps = outputs.grid.t == 1 or not rearranges or solver_of(task, head) is not None
        return registry.fitting(head, outputs) and of_points and of_grids and of_steps and solvable(task, head)

    if chosen is None:
        chosen = [head for head in registry.names() if registry.takes_several(head)] if several else task.heads
    fitting = [head for head in chosen if fits(head)]
    if not fitting:
        where = " on several points at once" if several else ""
        where += "" if one_grid else " on samples of several sizes"
        known = ", ".join(head for head in registry.names() if fits(head))
        raise UsageError(f"no head of {', '.join(chosen)} fits the task {name!r}{where}; use one of {known}")
    return fitting
