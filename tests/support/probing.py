"""The shortest training of one head for one task on one point of a cache: what a task and a head promise each other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import heads, tasks
from foresight_probes.batches import Features
from foresight_probes.features.patches import grid_cells
from foresight_probes.tasks import Task, TaskContext

CONSTANT = "constant"
"""Name of a point that is zero for every sample: on it a head learns the best constant answer."""


def samples(cache: Cache, task: Task) -> list[dict[str, Any]]:
    """Rows of the sample table for which a task has a question, with the arrays that it needs."""
    shaped_samples = []
    for row, sample in enumerate(cache.rows):
        if task.has_target(sample):
            arrays = {name: cache[name].stored(row) for name in task.needs_arrays if name in cache}
            grids = {name: cache[name].grid_of(row) for name in arrays}
            shaped = {name: array.reshape(*grids[name], -1) for name, array in arrays.items()}
            if "labels" in shaped:
                shaped["labels"] = shaped["labels"][..., 0]
            shaped_samples.append({**sample, **shaped, "row": row})
    return shaped_samples


def features(cache: Cache, point: str, rows: Sequence[int]) -> Features:
    """All samples lie on one grid; tokens and their means have the mean 0 and the deviation 1."""
    if point == CONSTANT:
        grid = Grid(*cache.rows[0]["grid_patch"])
        tokens = torch.zeros(len(rows), grid.tokens, 1)
    else:
        grid = cache[point].grid_of(0)
        tokens = torch.from_numpy(np.stack([cache[point][row] for row in rows]))
        tokens = (tokens - tokens.mean((0, 1))) / tokens.std((0, 1))
    pooled = tokens.mean(1)
    return Features(
        tokens=tokens,
        pooled=(pooled - pooled.mean(0)) / pooled.std(0).clamp(min=1e-6),
        mask=torch.ones(tokens.shape[:2], dtype=torch.bool),
        cells=grid_cells(grid).expand(len(rows), -1, -1),
        grids=(grid,) * len(rows),
    )


def probe(
    cache: Cache,
    task: Task | str,
    head: str,
    point: str,
    *,
    epochs: int = 20,
    most: int | None = None,
    also: str | None = None,
    rate: float | None = None,
) -> dict[str, float]:
    """Metrics on every fourth sample of a head that was trained on the others.

    `most` is the number of samples that are used, `also` a second point.
    """
    if isinstance(task, str):
        task = tasks.load(task, TaskContext(samples=cache.rows, training=cache.rows))
    probed = samples(cache, task)[:most]
    rows = [sample["row"] for sample in probed]
    everything = features(cache, point, rows)
    if also:
        everything = replace(everything, others=(features(cache, also, rows),))
    widths = tuple(each.tokens.shape[2] for each in everything.every)
    outputs = task.outputs_for(width=widths[0], grid=everything.grids[0])
    made = heads.build(head, width=widths if also else widths[0], outputs=outputs, seed=0)
    targets = [target for sample in probed if (target := task.target(sample)) is not None]
    assert len(targets) == len(probed)
    test = list(range(0, len(rows), 4))
    train = torch.tensor([place for place in range(len(rows)) if place % 4])
    steps = epochs * -(-len(train) // 16)
    optimiser = torch.optim.AdamW(made.parameters(), rate or float(made.learning_rate))  # type: ignore[arg-type]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for chosen in train[torch.randperm(len(train), generator=generator)].split(16):
            seen, wanted = batch(task, everything, targets, chosen.tolist())
            loss = task.loss(made(seen), wanted)
            assert torch.isfinite(loss)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        seen, wanted = batch(task, everything, targets, test)
        return task.metrics(task.scores(made(seen), wanted))


def batch(
    task: Task, everything: Features, targets: Sequence[torch.Tensor], rows: list[int]
) -> tuple[Features, Sequence[torch.Tensor]]:
    chosen, wanted = everything.select(rows), [targets[row] for row in rows]
    return task.transform_batch(chosen, wanted) if task.transforms_batch else (chosen, wanted)


def chance(cache: Cache, name: str, point: str) -> dict[str, float]:
    """Metrics, on every fourth sample, of the best constant answer for the others, on a point."""
    task = tasks.load(name, TaskContext(samples=cache.rows, training=cache.rows))
    asked = samples(cache, task)
    everything = features(cache, point, [sample["row"] for sample in asked])
    targets = [target for sample in asked if (target := task.target(sample)) is not None]
    seen, wanted = batch(task, everything, targets, [place for place in range(len(asked)) if place % 4])
    constant = task.best_constant(zip(wanted, seen.grids, strict=True))
    seen, wanted = batch(task, everything, targets, list(range(0, len(asked), 4)))
    return task.metrics(task.scores(constant.predict(seen), wanted))
