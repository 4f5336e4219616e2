"""Readings of planted caches, in which each token knows its object: width, convergence, and what finds a set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foresight_cache.reader import Cache
from foresight_probes import tasks
from foresight_probes.batches import Prediction
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import point_estimate
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import SIDES, side_of
from foresight_probes.sweeps.run import train
from foresight_probes.tasks import Task, TaskContext
from pipelines.discrepancy import set_probes
from pipelines.discrepancy.readings import STATISTICS, Metric, Reading

OPTIONS = TrainingOptions(resamples=200)
SEEDS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """A head on a planted point: trained by plain Adam for so many epochs, or as `foresight train-probe` finds it."""

    key: str
    what: str
    head: str
    point: str
    epochs: int = 0
    """Epochs of plain Adam; 0 for what `foresight train-probe` does."""
    against: str = ""


_BASE, _WIDE, _PLAIN = "objects.token_snr.base", "objects.token_snr.w3584", "objects.linear"

OF_WIDTH = (
    Planted(
        key="base", what="`token-linear` by 30 epochs of Adam, 96 channels", head="token-linear", point=_BASE, epochs=30
    ),
    Planted(key="wide", what="the same in 3,584 channels", head="token-linear", point=_WIDE, epochs=30, against="base"),
    Planted(key="wide-long", what="60 epochs", head="token-linear", point=_WIDE, epochs=60, against="wide"),
    Planted(
        key="base-closed", what="from its closed form, 96 channels", head="token-linear", point=_BASE, against="base"
    ),
    Planted(
        key="wide-closed", what="from its closed form, 3,584 channels", head="token-linear", point=_WIDE, against="wide"
    ),
)
OF_DETECTION = (
    Planted(key="detr-2", what="Q2's detection probe, 2 epochs", head="q2-detection", point=_PLAIN, epochs=2),
    Planted(
        key="detr-10", what="10 epochs", head="q2-detection", point=_PLAIN, epochs=10, against="detr-2"
    ),
    Planted(
        key="detr-places", what="`detr-plain`: places added, 10 epochs", head="detr-plain", point=_PLAIN, epochs=10,
        against="detr-10",
    ),
    Planted(
        key="anchored", what="`anchored`: queries with places, 10 epochs", head="anchored", point=_PLAIN, epochs=10,
        against="detr-places",
    ),
    Planted(
        key="detection-tokens", what="`token-linear`: an answer from each token, 10 epochs", head="token-linear",
        point=_PLAIN, epochs=10, against="anchored",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedPart:
    """Readings on one planted cache."""

    part: str
    task: str
    metric: Metric
    cache: PlantedCache
    wanted: tuple[Planted, ...]

    def readings(self, folder: Path) -> list[Reading]:
        """Writes the cache where it is not there, and trains from each seed; what the product finds is kept."""
        cache = self.cache.write(folder / "caches", list(dict.fromkeys(own.point for own in self.wanted)))
        task = tasks.load(self.task, TaskContext(samples=cache.rows))
        targets = [target for target in map(task.target, cache.rows) if target is not None]
        sides = sides_of(cache)
        chance = _chance(task, cache, self, targets, sides)
        return [
            Reading(
                key=own.key,
                part=self.part,
                what=own.what,
                metric=self.metric,
                scores=self._trained(own, task, cache, targets, sides)
                if own.epochs
                else self._found(own, cache, folder),
                groups=tuple(cache.rows[row]["group"] for row in sides["test"]),
                chance=chance,
                against=own.against,
            )
            for own in self.wanted
        ]

    def _trained(
        self, own: Planted, task: Task, cache: Cache, targets: Sequence[Tensor], sides: Mapping[str, list[int]]
    ) -> tuple[Scores, ...]:
        train_rows, test_rows = sides["train"], sides["test"]
        features = set_probes.read_features(cache, own.point, train_rows, train_rows)
        shown = set_probes.read_features(cache, own.point, test_rows, train_rows)
        scores = []
        for seed in SEEDS:
            aims = [targets[row] for row in train_rows]
            network = set_probes.fit(own.head, task, features, aims, epochs=own.epochs, seed=seed)
            scores.append(set_probes.scores(network, task, shown, [targets[row] for row in test_rows]))
        return tuple(scores)

    def _found(self, own: Planted, cache: Cache, folder: Path) -> tuple[Scores]:
        out = folder / "runs" / Path(cache.path).name
        results = train(cache, tasks=[self.task], points=[own.point], heads=[own.head], out=out, options=OPTIONS)
        result = next(result for result in results if (result.point, result.head) == (own.point, own.head))
        return ([np.array(score.scores) for score in result.scores],)


def sides_of(cache: Cache) -> dict[str, list[int]]:
    """Returns the rows of each side of the usual split."""
    sides: dict[str, list[int]] = {side: [] for side in SIDES}
    for number, row in enumerate(cache.rows):
        side = side_of(row["group"], train_share=OPTIONS.train_share, validation_share=OPTIONS.validation_share)
        sides[side].append(number)
    return sides


def _chance(
    task: Task, cache: Cache, own: PlantedPart, targets: Sequence[Tensor], sides: Mapping[str, list[int]]
) -> float:
    """Returns what the best constant answer reads."""
    grid = cache[own.wanted[0].point].grid_of(0)
    values_PC = task.best_constant([(targets[row], grid) for row in sides["train"]]).values
    test = [targets[row] for row in sides["test"]]
    values_BPC = values_PC.float().expand(len(test), -1, -1)
    constant = Prediction(values=values_BPC, mask=torch.ones(values_BPC.shape[:2], dtype=torch.bool))
    return point_estimate(STATISTICS[own.metric], task.scores(constant, test))[own.metric]


WIDTH = PlantedPart(
    part="Boxes of planted objects",
    task="boxes",
    metric="mean_iou",
    cache=PlantedCache(world="several", train=300, validation=80, test=200, rows=8),
    wanted=OF_WIDTH,
)
DETECTION = PlantedPart(
    part="mAP of planted objects",
    task="detection",
    metric="map_0.5",
    cache=PlantedCache(world="several", train=300, validation=80, test=400, rows=8),
    wanted=OF_DETECTION,
)
