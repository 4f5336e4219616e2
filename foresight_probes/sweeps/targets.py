"""What tasks ask of a cache's samples: who trains, selects and is reported, and the targets."""

from collections.abc import Iterator, Mapping
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
from foresight_probes.splits import SIDES, Split, split_rows
from foresight_probes.tasks import Task, TaskContext


def usable_rows(cache: Cache) -> list[int]:
    """Rows of the sample table that are not quarantined."""
    return [row for row, sample in enumerate(cache.rows) if sample["status"] == "ok"]


def split_cache(cache: Cache, options: TrainingOptions) -> Split:
    """All sound samples. Raises `ProbeError`."""
    return split_rows(
        usable_rows(cache),
        [sample["id"] for sample in cache.rows],
        [sample["group"] for sample in cache.rows],
        train_share=options.train_share,
        validation_share=options.validation_share,
    )


def load_tasks(
    cache: Cache, names: tuple[str, ...], split: Split, lpips_weights: Path | None = None
) -> dict[str, Task]:
    """Raises `UnknownName`, and `ProbeError` where a task cannot use the samples."""
    for name in names:
        if name not in registry.names():
            registry.load(name)
    setting = TaskContext(
        samples=[cache.rows[row] for row in usable_rows(cache)],
        training=[cache.rows[row] for row in split.train],
        lpips_weights=lpips_weights,
    )
    return {name: registry.load(name, setting) for name in names}


def make_targets(cache: Cache, tasks: Mapping[str, Task], split: Split) -> Targets:
    """Each side of the split must have samples with a question for each task. Raises `ProbeError`."""
    rows = usable_rows(cache)
    targets = {name: _targets(cache, task, rows) for name, task in tasks.items()}
    for name, by_row in targets.items():
        for side in SIDES:
            if not by_row.keys() & set(getattr(split, side)):
                raise ProbeError(
                    f"no sample of the {side} split has an annotation for the task {name!r} ({len(by_row)} of "
                    f"{len(rows)} samples have one); extract samples that are annotated for it."
                )
    return targets


def finest_grid(cache: Cache, row: int) -> Grid:
    """Of the points besides pixels, the grid of the one with the most tokens; one cell where there is none."""
    others = [name for name in cache.points if name != PIXELS]
    return cache[max(others, key=lambda name: cache[name].shape[1])].grid_of(row) if others else Grid(1, 1, 1)


def largest_grid(cache: Cache) -> Grid:
    """Of the finest point's samples, along each axis on its own."""
    grids = {finest_grid(cache, row) for row in usable_rows(cache)} or {Grid(1, 1, 1)}
    return Grid(*(max(grid[axis] for grid in grids) for axis in range(3)))


def _targets(cache: Cache, task: Task, rows: list[int]) -> Mapping[int, Tensor]:
    if task.needs_arrays:
        return DenseTargets(cache, task, [row for row in rows if task.has_target(cache.rows[row])])
    return {row: target for row in rows if (target := task.target(cache.rows[row])) is not None}


class DenseTargets(Mapping[int, Tensor]):
    """Targets that are made when they are asked for, because they need arrays of the cache, such as pixels."""

    def __init__(self, cache: Cache, task: Task, rows: list[int]) -> None:
        self._cache, self._task, self._rows = cache, task, dict.fromkeys(rows)

    def __getitem__(self, row: int) -> Tensor:
        if row not in self._rows:
            raise KeyError(row)
        target = self._task.target(self._sample(row))
        if target is None:
            raise KeyError(row)
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
