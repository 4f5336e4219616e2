"""The class of the part of the image that each token stands for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.errors import ProbeError
from foresight_cache.geometry import border_boxes, input_fractions
from foresight_probes import tasks
from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.features.patches import grid_of
from foresight_probes.metrics import Scores, segmentation_metrics
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.categories import category_names, numbered
from foresight_probes.tasks.kinds.cell_means import CellSums
from foresight_probes.tasks.kinds.classification import UNSEEN
from foresight_probes.tasks.kinds.constant_class_map import best_map
from foresight_probes.tasks.kinds.matching import by_cell, in_any

BORDER = -2
"""Class of a box that is no object but a part of the border of a letterbox."""
NO_ANSWER = -1
"""Class of a token of which nobody knows what it shows; it is neither trained nor evaluated."""


class Task(tasks.Task):
    """Predicts the class of each token, by cross-entropy.

    Where the cache has dense labels, the class of a token is the most frequent label of its cell (and there is no
    answer where most of it is unlabelled). Elsewhere it is that of the box that holds its centre, the smallest of
    several, or "background"; in crowds and in the border of a letterbox there is no answer.
    """

    heads = ("token-linear",)
    primary = "miou"
    metric_names = ("miou", "accuracy")
    annotations = ("labels", "objects")
    start_forms = ("per_token",)
    transforms_batch = True
    targets_from = "cells"
    closed_form = "class"
    has_classes = True

    def __init__(self, context: TaskContext) -> None:
        labelled = [sample["annotations"]["labels"] for sample in context.samples if _labelled(sample)]
        self.needs_arrays = ("labels",) if labelled else ()
        kinds = {_count(labels["classes"]) for labels in labelled}
        if len(kinds) > 1:
            counts = " or ".join(map(str, sorted(kinds)))
            raise ProbeError(
                f"samples have dense labels of {counts} classes, expected the same classes for all; extract each "
                "dataset into a cache of its own"
            )
        self._numbers = numbered(context.samples)
        """Class of each category id; 0 is the background."""
        self._names = {0: "background"} | category_names(context.samples)
        if labelled:
            named = labelled[0]["classes"]
            self._names = {} if isinstance(named, Mapping) else dict(enumerate(named))
        classes = kinds.pop() if kinds else len(self._numbers) + 1
        self.outputs = OutputSpec(num_predictions=1, channels=max(2, classes), predicts=("per_token",))

    def has_target(self, sample: Mapping[str, Any]) -> bool:
        return _labelled(sample) if self.needs_arrays else "objects" in sample["annotations"]

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns int64 [T, H, W], -1 where there is no label; without dense labels float32 [K, 5], boxes with class.

        Raises `ProbeError` for labels beyond those that the annotations tell of.
        """
        if not self.needs_arrays:
            return self._boxes(sample) if self.has_target(sample) else None
        if not _labelled(sample) or "labels" not in sample:
            return None
        labels = torch.from_numpy(np.asarray(sample["labels"]).astype(np.int64))
        ignore = sample["annotations"]["labels"].get("ignore")
        labels = labels if ignore is None else labels.masked_fill(labels == ignore, NO_ANSWER)
        if labels.max() >= self.outputs.channels:
            raise ProbeError(
                f"sample {sample['id']} has the dense label {int(labels.max())}, but its annotations tell of "
                f"labels below {self.outputs.channels}; prepare the dataset again with the right labels.classes"
            )
        return labels

    def classes_of(self, target: Tensor) -> Tensor:
        """Returns the labels that occur, or the background and the classes of objects."""
        if target.ndim == 3:
            return target[target >= 0].bincount().nonzero()[:, 0]
        classes = target[:, 4].long()
        return torch.cat([classes.new_zeros(1), torch.unique(classes[classes > 0])])

    def class_name(self, number: int) -> str:
        return self._names.get(number, f"label {number}")

    def transform_batch(self, features: Features, targets: Sequence[Tensor]) -> tuple[Features, Sequence[Tensor]]:
        """Makes targets [N] int64, the class of each token."""
        answers = []
        for cells, grid, target in zip(features.cells, features.grids, targets, strict=True):
            answers.append(self.target_class(target, cells[: grid.tokens]))
        return features, answers

    def target_class(self, target: Tensor, cells: Tensor) -> Tensor:
        """Returns the class of each of the cells [N, 4] in raster order, [N] int64; -1 where there is no answer."""
        if target.ndim == 1:
            return target
        if target.ndim == 3:
            return majority(target, cells, self.outputs.channels)
        is_border = target[:, 4] == BORDER
        answers = _by_box(target[~is_border], cells)
        shows_nothing = in_any(cells[:, :2], target[is_border, :4]) & (answers == 0)
        return answers.masked_fill(shows_nothing, NO_ANSWER)

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns the logarithms of the shares of classes in each place, the class of the best map raised above them.

        The best map is that of `constant_class_map.best_map`.
        """
        classes, sums = self.outputs.channels, CellSums()
        for target, grid in targets:
            known = target != NO_ANSWER
            sums.add(functional.one_hot(target.clamp(min=0), classes), grid, known)
        counts_NK = sums.sums_NC
        logits = (counts_NK.clamp(min=UNSEEN) / counts_NK.sum(1, keepdim=True).clamp(min=1)).log()
        chosen = torch.from_numpy(best_map(counts_NK.numpy()))[:, None]
        logits = logits.scatter(1, chosen, logits.amax(1, keepdim=True) + 1)
        return ConstantAnswer(values=logits.float(), places=sums.places)

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        """Every sample weighs the same, however many of its tokens have an answer."""
        losses = []
        for logits, answers in zip(prediction.values, targets, strict=True):
            total = functional.cross_entropy(logits[: len(answers)], answers, ignore_index=NO_ANSWER, reduction="sum")
            losses.append(total / (answers != NO_ANSWER).sum().clamp(min=1))
        return torch.stack(losses).mean()

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns `segmentation.class_counts` of each sample."""
        chosen = prediction.values.argmax(-1).cpu().numpy()
        return [
            segmentation_metrics.class_counts(classes[: len(answers)], answers.cpu().numpy())
            for classes, answers in zip(chosen, targets, strict=True)
        ]

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return segmentation_metrics.summary(scores, counts_RS)

    def _boxes(self, sample: Mapping[str, Any]) -> Tensor:
        rows = [
            [
                *input_fractions(np.array(thing["box"]), sample),
                NO_ANSWER if thing.get("crowd") else self._numbers[thing["category_id"]],
            ]
            for thing in _objects(sample)
            if thing["category_id"] in self._numbers
        ]
        rows += [[*box, BORDER] for box in border_boxes(sample)]
        return torch.tensor(np.array(rows, dtype=np.float32).reshape(-1, 5))


def majority(labels_THW: Tensor, cells_N4: Tensor, classes: int) -> Tensor:
    """Returns the most frequent label of each cell, [N] int64; -1 where less than half of it is labelled.

    Args:
        labels_THW: Labels, int64, negative where there is none.
        cells_N4: Cells, all of one size, in raster order over time steps, rows and columns.
    """
    grid, labels = grid_of(cells_N4), labels_THW
    t, y, x = (
        torch.arange(size, device=labels.device) * count // size for size, count in zip(labels.shape, grid, strict=True)
    )
    cell = (t[:, None, None] * grid.h + y[:, None]) * grid.w + x
    known = labels >= 0
    votes = torch.bincount(cell[known] * classes + labels[known], minlength=len(cells_N4) * classes).view(-1, classes)
    pixels = torch.bincount(cell.reshape(-1), minlength=len(cells_N4))
    return votes.argmax(1).masked_fill(2 * votes.sum(1) < pixels, NO_ANSWER)


def _by_box(boxes: Tensor, cells: Tensor) -> Tensor:
    """Returns the class of the smallest box that holds each cell's centre, crowds last, else 0, [N] int64."""
    if not len(boxes):
        return torch.zeros(len(cells), dtype=torch.int64, device=cells.device)
    classes = boxes[:, 4].long()
    answers = torch.zeros(len(cells), dtype=torch.int64, device=cells.device)
    for crowd in (True, False):
        chosen = boxes[(classes == NO_ANSWER) == crowd]
        if len(chosen):
            everywhere = torch.ones(1, len(cells), dtype=torch.bool, device=cells.device)
            count = torch.tensor([len(chosen)], device=cells.device)
            objects = by_cell(cells[None], everywhere, chosen[None, :, :4], count)[0]
            answers = torch.where(objects >= 0, chosen[objects, 4].long(), answers)
    return answers


def _objects(sample: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    objects: Sequence[Mapping[str, Any]] = sample["annotations"].get("objects", ())
    return objects


def _labelled(sample: Mapping[str, Any]) -> bool:
    return "labels" in sample["annotations"]


def _count(classes: Sequence[str] | Mapping[str, int]) -> int:
    """Returns how many labels there can be: names begin at label 0, and without names they go from 1 to a count."""
    return int(classes["count"]) + 1 if isinstance(classes, Mapping) else len(classes)
