"""Targets of a cache's samples for each task, and which samples train, select and are reported."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import tasks as registry
from foresight_probes.features.datamodule import Targets
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import SIDES, Split, require_apart
from foresight_probes.sweeps.divisions import WHOLE, Division
from foresight_probes.sweeps.learnable import ClassCounts, require_question
from foresight_probes.tasks import Task, TaskContext

KEPT_BYTES = 256 * 1024**2
"""Bytes of targets made from arrays that are kept for each task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskTargets:
    """Tasks with the targets of a cache's samples, and the split that these are on."""

    split: Split
    tasks: Mapping[str, Task]
    targets: Targets
    grid: Grid
    """The largest t, h and w of the samples' grids at the point with the most tokens, `pixels` excepted."""
    classes: Mapping[str, ClassCounts]
    """Classes on each side, of tasks that have some; of refits none."""
    has_one_grid: bool
    """True where the grids of all samples are the same."""


def load_targets(
    cache: Cache,
    names: Sequence[str],
    options: TrainingOptions,
    lpips_weights: Path | None = None,
    division: Division = WHOLE,
) -> TaskTargets:
    """Splits the samples that are not quarantined, and makes their targets for the tasks of these names.

    Raises `UnknownName`, and `ProbeError` where a side of the split is empty or has no sample with a target for a
    task, or a task cannot use the samples.
    """
    rows = usable_rows(cache)
    split = division.split(cache, rows, options)
    require_apart(split, [sample["group"] for sample in cache.rows])
    context = TaskContext(
        samples=[cache.rows[row] for row in rows],
        training=[cache.rows[row] for row in split.train],
        column=options.column,
        perceptual_weight=options.perceptual_weight,
        lpips_weights=lpips_weights,
    )
    tasks = _load_tasks(tuple(dict.fromkeys(names)), context)
    targets = {name: _targets(cache, task, rows) for name, task in tasks.items()}
    classes: dict[str, ClassCounts] = {}
    for name, by_row in targets.items():
        _require_targets(name, tasks[name], by_row, split, [cache.rows[row] for row in rows])
        counts = None if division.refit is not None else require_question(name, tasks[name], by_row, split)
        classes |= {name: counts} if counts else {}
    grids = {finest_grid(cache, row) for row in rows} or {Grid(1, 1, 1)}
    largest = Grid(*(max(grid[axis] for grid in grids) for axis in range(3)))
    return TaskTargets(
        split=split, tasks=tasks, targets=targets, grid=largest, classes=classes, has_one_grid=len(grids) == 1
    )


def usable_rows(cache: Cache) -> list[int]:
    """Returns the rows of the sample table that are not quarantined."""
    return [row for row, sample in enumerate(cache.rows) if sample["status"] == "ok"]


def finest_grid(cache: Cache, row: int) -> Grid:
    """Returns a sample's grid at the point with the most tokens, pixels aside; one cell where there is none."""
    others = [name for name in cache.points if name != PIXELS]
    return cache[max(others, key=lambda name: cache[name].shape[1])].grid_of(row) if others else Grid(1, 1, 1)


def _load_tasks(names: tuple[str, ...], context: TaskContext) -> dict[str, Task]:
    for name in names:
        if name not in registry.names():
            registry.load(name)
    return {name: registry.load(name, context) for name in names}


def _require_targets(
    name: str, task: Task, targets: Mapping[int, Tensor], split: Split, samples: Sequence[Mapping[str, Any]]
) -> None:
    """Raises `ProbeError` where a side has no target, or none that holds anything, as sets of no objects do."""
    filled = {row for row in targets if isinstance(targets, DenseTargets) or _holds_something(task, targets[row])}
    for side in SIDES:
        if not filled & set(split.rows(side)):
            raise ProbeError(
                f"no sample of the {side} split has an annotation for the task {name!r} ({len(filled)} of "
                f"{len(samples)} samples have one){_why_none(samples) or '; extract samples that are annotated for it'}"
            )


def _holds_something(task: Task, target: Tensor) -> bool:
    """Returns whether a target holds an answer, as features do: not one of no objects, or of none that counts."""
    if task.targets_from == "features":
        return True
    return target.numel() > 0 and (not task.has_classes or task.classes_of(target).numel() > 0)


def _why_none(samples: Sequence[Mapping[str, Any]]) -> str:
    """Returns why objects give no target where all of them are crowds, which tasks leave out; else an empty text."""
    crowds = [thing.get("crowd") for sample in samples for thing in sample["annotations"].get("objects", ())]
    if not crowds or not all(crowds):
        return ""
    return (
        f": all {len(crowds):,} objects are crowds (iscrowd 1), which it leaves out; tools write iscrowd 1 for brush "
        "masks of single objects too: give these 0 and prepare the set again"
    )


def _targets(cache: Cache, task: Task, rows: list[int]) -> Mapping[int, Tensor]:
    if task.needs_arrays:
        return DenseTargets(cache, task, [row for row in rows if task.has_target(cache.rows[row])])
    return {row: target for row in rows if (target := task.target(cache.rows[row])) is not None}


class DenseTargets(Mapping[int, Tensor]):
    """Targets that are made when they are read, because they need arrays of the cache, such as pixels.

    Those that are read first are kept, as many as fit into `KEPT_BYTES`. May be read in several threads at once.
    """

    def __init__(self, cache: Cache, task: Task, rows: list[int]) -> None:
        self._cache, self._task, self._rows = cache, task, dict.fromkeys(rows)
        self._kept: dict[int, Tensor] = {}
        self._kept_bytes = 0

    def __getitem__(self, row: int) -> Tensor:
        if row in self._kept:
            return self._kept[row]
        if row not in self._rows:
            raise KeyError(row)
        target = self._task.target(self._sample(row))
        if target is None:
            raise KeyError(row)
        if self._kept_bytes + target.nbytes <= KEPT_BYTES:
            self._kept[row] = target
            self._kept_bytes += target.nbytes
        return target

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def _sample(self, row: int) -> dict[str, Any]:
        """The sample with the arrays that the cache has, uint8 [T, H, W, channels] or, of one channel, [T, H, W]."""
        arrays = {}
        for name in self._task.needs_arrays:
            if name in self._cache:
                point = self._cache[name]
                channels = [point.shape[2]] if point.shape[2] > 1 else []
                arrays[name] = point.stored(row).reshape(*point.grid_of(row), *channels)
        return {**self._cache.rows[row], **arrays}
