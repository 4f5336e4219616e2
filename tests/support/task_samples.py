"""Samples and predictions made by hand, for tests of single tasks."""

from typing import Any

import torch

from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.batches import Features, Prediction
from foresight_probes.features.patches import grid_cells
from foresight_probes.tasks import Task, TaskContext


def sample(**annotations: Any) -> dict[str, Any]:
    """An image of 200×100 pixels."""
    grids = {"grid_pixel": (1, 16, 16), "grid_patch": (1, 4, 4), "grid_merged": (1, 2, 2)}
    return {"id": "some/train/1", "width": 200, "height": 100, "annotations": annotations, **grids}


def thing(box: list[float], name: int = 1, **more: Any) -> dict[str, Any]:
    return {"box": box, "category": f"kind {name}", "category_id": name, "crowd": False, "area": 1.0, **more}


def load(name: str, *samples: dict[str, Any]) -> Task:
    return tasks.load(name, TaskContext(samples=samples, training=samples))


def value(target: torch.Tensor | None) -> Any:
    assert target is not None
    return target.tolist()


def slots(values: list[Any]) -> Prediction:
    """Values [B, P, C] from whole samples."""
    found = torch.tensor(values, dtype=torch.float32)
    return Prediction(values=found, mask=torch.ones(found.shape[:2], dtype=torch.bool))


def tokens(values: torch.Tensor, grid: Grid) -> Prediction:
    """Values [B, N, C] from tokens that lie on a grid."""
    mask = torch.ones(values.shape[:2], dtype=torch.bool)
    places = grid_cells(grid).expand(len(values), -1, -1)
    return Prediction(values=values, mask=mask, cells=places, grids=(grid,) * len(values))


def clip(values: torch.Tensor, grids: tuple[Grid, ...]) -> Features:
    mask = torch.stack([torch.arange(values.shape[1]) < grid.tokens for grid in grids])
    places = torch.zeros(*values.shape[:2], 4)
    for row, grid in enumerate(grids):
        places[row, : grid.tokens] = grid_cells(grid)
    return Features(tokens=values, pooled=values.mean(1), mask=mask, cells=places, grids=grids)
