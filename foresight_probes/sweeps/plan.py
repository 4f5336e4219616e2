"""Which runs a sweep has, which of them are finished, and what makes a finished one the same run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.reader import Cache
from foresight_probes import heads as registry
from foresight_probes.batches import OutputSpec
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.features.datamodule import Targets
from foresight_probes.features.sources import POINT_SEPARATOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, identity, load_result, result_path
from foresight_probes.splits import Split
from foresight_probes.sweeps.targets import largest_grid, load_tasks, make_targets, split_cache
from foresight_probes.tasks import Task
from foresight_probes.training.closed_forms import solvable
from foresight_probes.training.runs import RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Which runs are wanted: every task on every point with every head, seed and value of the grids.

    Raises `UsageError` where no task or seed is named, or a value is not possible.
    """

    tasks: tuple[str, ...]
    points: tuple[str, ...] | None = None
    """Names, aliases or patterns of the cache's points; several joined by + for heads that take several at once;
    None for all."""
    heads: tuple[str, ...] | None = None
    """Names or aliases (`linear`); None for those of each task."""
    seeds: tuple[int, ...] = (0,)
    """Of the heads' initial weights; the order of samples is `shuffle_seed` for all."""
    learning_rates: tuple[float, ...] = ()
    """Peak step sizes that are tried, each in a run of its own; none for that of the options or each head's own."""
    weight_decays: tuple[float, ...] = ()
    """The same for weight decay."""
    options: TrainingOptions = field(default_factory=TrainingOptions)
    lpips_weights: Path | None = None
    """Folder with the weights that perceptual metrics need; None for torch's cache of downloads."""

    def __post_init__(self) -> None:
        if not self.tasks or not self.seeds:
            missing = "seed" if self.tasks else "task"
            raise UsageError(f"no {missing} was named; name one, for example --task boxes --seeds 0.")
        for name, values, least in (("lr", self.learning_rates, 0.0), ("weight_decay", self.weight_decays, -1.0)):
            for value in values:
                if not value > least or value != value or value == float("inf"):
                    expected = "above" if least == 0 else "of at least"
                    raise UsageError(f"{name} has the value {value!r}, expected numbers {expected} 0.")

    def members(self, task: str, heads: Iterable[str]) -> list[RunSpec]:
        """Closed forms have no step size, so they are in no grid."""
        found = []
        for head in dict.fromkeys(heads):
            closed = registry.solver(head) is not None
            rates = (None,) if closed else self.learning_rates or (None,)
            decays = (None,) if closed else self.weight_decays or (None,)
            for seed, rate, decay in product(dict.fromkeys(self.seeds), dict.fromkeys(rates), dict.fromkeys(decays)):
                found.append(RunSpec(task, head, seed, learning_rate=rate, weight_decay=decay))
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPlan:
    """Which runs there are, and which of them are finished."""

    pending: Mapping[str, tuple[RunSpec, ...]]
    """By point, in the order in which they are trained: first the mean predictor, then the order of computation."""
    finished: tuple[Result, ...]
    """Results that are there already, from the same cache, split and recipe."""
    samples: int
    """Training samples that will be seen, all epochs together, unless all heads stop early: what `advance` counts
    up to."""
    left_out: tuple[str, ...]
    """Heads that were named but do not fit a task, each in a few words."""
    split: Split
    targets: Targets
    tasks: Mapping[str, Task]


def plan_sweep(cache: Cache, sweep: Sweep, out: Path) -> SweepPlan:
    """Reads annotations and finished results, and writes nothing.

    Raises `UnknownName` with the nearest names; `UsageError` where head and task do not fit; `ProbeError` where a
    split is empty or `out` holds a result of the same name from another cache or recipe.
    """
    split = split_cache(cache, sweep.options)
    tasks = load_tasks(cache, tuple(dict.fromkeys(sweep.tasks)), split, sweep.lpips_weights)
    chosen = None if sweep.heads is None else registry.resolve(sweep.heads)
    points = _points(cache, sweep.points)
    targets = make_targets(cache, tasks, split)
    grid = largest_grid(cache)
    outputs = {name: task.outputs_for(width=1, grid=grid) for name, task in tasks.items()}
    constant = [
        RunSpec(name, task.constant_head, seed)
        for name, task in tasks.items()
        if task.constant_head
        for seed in (dict.fromkeys(sweep.seeds) if registry.solver(task.constant_head) is None else (0,))  # solved once
    ]
    wanted = {MEAN_PREDICTOR: constant} | {
        point: [
            member
            for name, task in tasks.items()
            for member in sweep.members(
                name, _heads(name, outputs[name], task, chosen, several=POINT_SEPARATOR in point)
            )
        ]
        for point in points
    }
    pending: dict[str, tuple[RunSpec, ...]] = {}
    finished: list[Result] = []
    for point, members in wanted.items():
        found = {member: _finished(cache, point, member, split, sweep.options, out) for member in members}
        finished += [result for result in found.values() if result]
        if missing := tuple(member for member, result in found.items() if not result):
            pending[point] = missing
    trained = [point for point, members in pending.items() if any(not registry.solver(each.head) for each in members)]
    return SweepPlan(
        pending=pending,
        finished=tuple(finished),
        samples=len(trained) * len(split.train) * sweep.options.epochs,
        left_out=tuple(
            f"{head} does not fit the task {name}"
            for name in tasks
            for head in chosen or ()
            if not any(member.task == name and member.head == head for members in wanted.values() for member in members)
        ),
        split=split,
        targets=targets,
        tasks=tasks,
    )


def run_identity(cache: Cache, point: str, member: RunSpec, split: Split, options: TrainingOptions) -> dict[str, Any]:
    """All that a result depends on."""
    return {
        **{"run": str(member), "point": point},
        **{"cache": cache.digest, "data": data_digest(cache), "split": split.digest},
        **member.options(options).recipe(),
    }


def data_digest(cache: Cache) -> str:
    """What the features were made from: the committed shards' tars. The fingerprint says only how they were made."""
    return identity({str(commit.shard): commit.source_sha256 for commit in cache.commits})


def _points(cache: Cache, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Single points in the order of computation, then those that are taken together, as they are named."""
    if texts is None:
        return cache.points
    together = []
    for text in texts:
        if POINT_SEPARATOR in text:
            parts = [cache.select([part.strip()]) for part in text.split(POINT_SEPARATOR)]
            if any(len(part) != 1 for part in parts):
                raise UsageError(f"{text!r} joins patterns that name several points; name single ones, as in E4+E5.")
            together.append(POINT_SEPARATOR.join(part[0] for part in parts))
    single = [text for text in texts if POINT_SEPARATOR not in text]
    found = (*(cache.select(single) if single else ()), *together)
    if not found:
        raise UsageError(f"no point was named; {cache.path} has {', '.join(cache.points)}.")
    return tuple(dict.fromkeys(found))


def _heads(name: str, outputs: OutputSpec, task: Task, chosen: Sequence[str] | None, *, several: bool) -> list[str]:
    """Those of the chosen heads that fit the task, or its own. Raises `UsageError` where none does."""

    def fits(head: str) -> bool:
        of_points = registry.takes_several(head) or not several
        return registry.fitting(head, outputs) and of_points and solvable(task, head)

    if chosen is None:
        chosen = [head for head in registry.names() if registry.takes_several(head)] if several else task.heads
    fitting = [head for head in chosen if fits(head)]
    if not fitting:
        where = " on several points at once" if several else ""
        known = ", ".join(head for head in registry.names() if fits(head))
        raise UsageError(f"no head of {', '.join(chosen)} fits the task {name!r}{where}; use one of {known}.")
    return fitting


def _finished(
    cache: Cache, point: str, member: RunSpec, split: Split, options: TrainingOptions, out: Path
) -> Result | None:
    path = result_path(out, task=member.task, point=point, run=member.name)
    if not path.exists():
        return None
    result = load_result(path)
    parts = run_identity(cache, point, member, split, options)
    if result.identity == identity(parts):
        return result
    stored = {
        **result.options,
        **{"cache": result.cache.get("digest"), "data": result.cache.get("data"), "split": result.split.get("digest")},
    }
    differing = sorted(name for name in stored.keys() & parts.keys() if stored[name] != parts[name])
    raise ProbeError(
        f"{path} is the result of another run, whose {', '.join(differing) or 'head'} differed; "
        "write to another --out, or remove it to train that run again."
    )
