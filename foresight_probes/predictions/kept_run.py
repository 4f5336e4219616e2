"""The predictions of a finished run for its test samples, made again from its weights and the cache.

Everything between the cache and the scores is what the run was evaluated by: the same features, standardization,
views, head, targets and changes of a batch. Runs with folds have weights for each fold, which predict what that fold
tested.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes import heads
from foresight_probes.batches import Prediction
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_sources
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, load_result, result_path
from foresight_probes.sweeps.divisions import WHOLE, Division
from foresight_probes.sweeps.identity import data_digest
from foresight_probes.sweeps.targets import TaskTargets, load_targets
from foresight_probes.tasks import Task
from foresight_probes.training.kept_head import load_head
from foresight_probes.training.task_batch import TaskBatch

BATCH = 16
"""Samples that are predicted at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """A test sample with its prediction and its target."""

    row: int
    """Row of the cache's sample table."""
    sample: Mapping[str, Any]
    """This row."""
    task: Task
    prediction: Prediction
    """Prediction of this sample alone: B is 1."""
    target: Tensor
    """Target as `Task.scores` takes it."""

    def scores(self) -> np.ndarray:
        """Returns the scores of the sample, flat float64, as the run's evaluation made them."""
        return np.asarray(self.task.scores(self.prediction, [self.target])[0], np.float64)


def predict(result: Result, cache: Cache, ids: Collection[str] | None = None) -> Iterator[Predicted]:
    """Yields the predictions of a run for its test samples, or for those of these ids, on the CPU.

    Args:
        result: A result that was read from its file, beside which its weights lie.
        cache: The cache that it was trained from.
        ids: Ids of test samples, whose order does not matter; None for all.

    Yields: Predictions in the order of the stored scores, those of folds fold by fold.

    Raises: `ProbeError` for weights that are not there or not the run's, and for a cache that is not the run's.
    """
    require_kept(result, cache)
    for part, division in _parts(result):
        wanted = [score.id for score in part.scores if ids is None or score.id in ids]
        if wanted:
            yield from _predict(part, division, cache, wanted)


def require_kept(result: Result, cache: Cache) -> None:
    """Raises `ProbeError` where a result cannot be predicted again from a cache; reads no weights."""
    _require_same_data(result, cache)
    _parts(result)


def file_of(result: Result) -> Path:
    """Returns the path of the scores of a result. Raises `ProbeError` for one that was not read from a file."""
    if not isinstance(result.scores_source, Path):
        raise ProbeError(f"the files of {named(result)} are not known")
    return result.scores_source


def named(result: Result) -> str:
    """Returns a run in words, for messages."""
    return f"{result.task} by {result.run} on {result.point}"


def _require_same_data(result: Result, cache: Cache) -> None:
    own, given = (result.cache.get("digest"), result.cache.get("data")), (cache.digest, data_digest(cache))
    if own != given:
        raise ProbeError(f"{named(result)} was trained from another cache than {cache.path}; give that one")
    if result.control:
        raise ProbeError(f"{named(result)} is of the control {result.control}, whose targets are others")


def _parts(result: Result) -> list[tuple[Result, Division]]:
    """Returns the run, or those of its folds, each with the division of samples that it was trained on."""
    scores = file_of(result)
    if "folds" not in result.split:
        return [(_with_weights(result, scores), WHOLE)]
    divisions = [Division(fold=number) for number in range(int(result.split["folds"]))]
    parts = []
    for division in divisions:
        folder = division.folder(scores.parents[2])
        path = result_path(folder, task=result.task, point=result.point, run=result.run)
        if not path.is_file():
            raise ProbeError(f"{path} is not there, and only the heads of folds predict what a run with folds tested")
        parts.append((_with_weights(load_result(path), path), division))
    return parts


def _with_weights(result: Result, path: Path) -> Result:
    weights = path.with_suffix(".safetensors")
    if not weights.is_file():
        raise ProbeError(f"{weights} is not there, and nothing else predicts; train its run again")
    return result


def _predict(result: Result, division: Division, cache: Cache, ids: Collection[str]) -> Iterator[Predicted]:
    head, standardization = load_head(file_of(result).with_suffix(".safetensors"), result.identity)
    own = TrainingOptions(**result.options)
    # few samples are read once each, and a weight of LPIPS in the loss changes no prediction
    options = replace(own, resident="none", device="cpu", perceptual_weight=0.0)
    asked = _asked(cache, result.task, options, division)
    if asked.split.digest != result.split.get("digest"):
        raise ProbeError(f"{named(result)} was trained on another split of the samples of {cache.path}")
    task = asked.tasks[result.task]
    needs_tokens = heads.reads_tokens(result.head) or task.transforms_batch
    sources = open_sources(cache, result.point)
    data = FeatureData(sources, asked.split, asked.targets, options, tokens=needs_tokens)
    numbers = {sample["id"]: row for row, sample in enumerate(cache.rows)}
    rows = [numbers[name] for name in ids]
    for first in range(0, len(rows), BATCH):
        batch = data.batch(rows[first : first + BATCH])
        with torch.no_grad():
            part = TaskBatch.select(batch, standardization(batch.features), result.task, task, tokens=True)
            if part is None:
                continue
            prediction: Prediction = head(part.features)
        for position, row in enumerate(part.rows):
            yield Predicted(
                row=row,
                sample=cache.rows[row],
                task=task,
                prediction=_single(prediction, position),
                target=part.targets[position],
            )


@lru_cache(maxsize=2)
def _asked(cache: Cache, task: str, options: TrainingOptions, division: Division) -> TaskTargets:
    """Returns the targets of a task, which the runs of all points share."""
    return load_targets(cache, [task], options, division=division)


def _single(prediction: Prediction, position: int) -> Prediction:
    """Returns the prediction for one sample of a batch."""
    own = slice(position, position + 1)
    return Prediction(
        values=prediction.values[own],
        mask=prediction.mask[own],
        cells=None if prediction.cells is None else prediction.cells[own],
        grids=prediction.grids[own],
        places=None if prediction.places is None else prediction.places[own],
    )
