"""The features of a clip's last time step, predicted from those before it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foresight_cache.geometry import border_boxes
from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores, regression_metrics, retrieval
from foresight_probes.metrics.resamples import mean
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.cell_means import CellSums
from foresight_probes.tasks.kinds.matching import in_any

LEVELS = ("grid_patch", "grid_merged")


class Task(tasks.Task):
    """Predicts the standardised feature of each cell one time step later, by the mean squared error.

    The head sees all time steps but the last. Beside it stands the prediction that nothing changes: `copy_r2` and
    `copy_cosine` compare the last step with the one before it. `mean_rank` says where the right cell of the last step
    comes among all of its cells by nearness to the prediction (0 is first, 0.5 chance).
    """

    heads = ("temporal-token-linear",)
    primary = "r2"
    metric_names = ("r2", "cosine", "copy_r2", "copy_cosine", "mean_rank")
    transforms_batch = True
    targets_from = "features"
    closed_form = "values"
    start_forms = ("per_token",)

    def __init__(self, context: TaskContext) -> None:
        grids = [sample.get(level) for sample in context.samples for level in LEVELS]
        self._steps = max((grid[0] for grid in grids if grid), default=1)

    def outputs_for(self, *, width: int, grid: Grid) -> OutputSpec:
        return OutputSpec(
            num_predictions=1, channels=width, predicts=("per_token",), grid=Grid(max(1, grid.t - 1), grid.h, grid.w)
        )

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the boxes of a letterbox's border, [K, 4], for clips with all time steps; K is 0 without a border.

        `transform_batch` makes the target of the features.
        """
        steps = {grid[0] for level in LEVELS if (grid := sample.get(level))}
        if steps != {self._steps} or self._steps < 2:
            return None
        return torch.tensor(border_boxes(sample)).reshape(-1, 4)

    def transform_batch(self, features: Features, targets: Sequence[Tensor]) -> tuple[Features, Sequence[Tensor]]:
        """Cuts off the last time step. Targets become [2, h * w, D]: that step, and the one before it.

        Those of a letterbox are [3, h * w, D] and end with what is 0 where a cell's centre is in the border, which is
        neither trained on nor scored.
        """
        steps = []
        for tokens, cells, grid, border in zip(features.tokens, features.cells, features.grids, targets, strict=True):
            area, end = grid.h * grid.w, grid.tokens
            last = [tokens[end - area : end], tokens[end - 2 * area : end - area]]
            shown = [(~in_any(cells[:area, :2], border)).to(tokens.dtype)[:, None].expand(last[0].shape)]
            steps.append(torch.stack(last + shown if len(border) else last))
        return _without_last(features), steps

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns the mean of each cell's last step, which is all that can be known from the place alone."""
        sums = CellSums()
        for target, grid in targets:
            sums.add(target[0], Grid(1, grid.h, grid.w), _shown(target))
        return ConstantAnswer(values=sums.means().float(), places=sums.places)

    def target_values(self, target: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002 - a row for each cell already
        shown = _shown(target)
        return target[0] if shown is None else target[0].masked_fill(~shown[:, None], math.nan)

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        losses = [(own - true).square().mean() for own, true, _ in _known(prediction, targets)]
        return torch.stack(losses).mean()

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns sums for R² and the mean cosine of the prediction, then of the copy, and the mean rank."""
        scores = []
        for own, true, before in _known(prediction, targets):
            rank = retrieval.mean_rank(retrieval.ranks(own, true))
            scores.append(
                [*regression_metrics.vector_scores(own, true), *regression_metrics.vector_scores(before, true), rank]
            )
        return np.array(scores)

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        every = np.asarray(scores)
        own, copied = (regression_metrics.vector_summary(every[:, part], counts_RS) for part in _PARTS)
        return {
            **own,
            **{f"copy_{name}": value for name, value in copied.items()},
            "mean_rank": mean(every[:, -1], counts_RS),
        }


_PARTS = (slice(0, 3), slice(3, 6))


def _shown(target: Tensor) -> Tensor | None:
    """Returns which cells show a part of the clip, [N] bool; None where all do."""
    return target[2, :, 0] > 0 if len(target) > 2 else None


def _known(prediction: Prediction, targets: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields of each sample what is predicted, what is there and what was before, [N, D] of the cells that show it."""
    for values, target in zip(prediction.values, targets, strict=True):
        shown = _shown(target)
        asked = slice(None) if shown is None else shown
        yield values[: target.shape[1]][asked], target[0][asked], target[1][asked]


def _without_last(features: Features) -> Features:
    """Returns the features of all time steps of each clip but the last."""
    ends = [grid.tokens - grid.h * grid.w for grid in features.grids]
    longest = max(ends)
    lengths = torch.tensor(ends, device=features.mask.device)
    mask = torch.arange(longest, device=lengths.device) < lengths[:, None]
    tokens = features.tokens[:, :longest] * mask[..., None]
    return replace(
        features,
        tokens=tokens,
        pooled=tokens.sum(1) / lengths[:, None],
        mask=mask,
        cells=features.cells[:, :longest],
        grids=tuple(Grid(grid.t - 1, grid.h, grid.w) for grid in features.grids),
        others=tuple(map(_without_last, features.others)),
    )
