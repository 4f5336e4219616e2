"""Trained heads start from the closed form of the least loss, or from none where it tells nothing."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from torch import Tensor

from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.tasks.boxes import encode_boxes
from foresight_probes.training.starts import Starts

STRENGTHS = (1e-3, 10.0, 1e5)


class Opened:
    """A planted point for one task, with the start of its perceptron."""

    def __init__(self, folder: Path, point: str, task: str, *, seed: int = 0) -> None:
        planted = PlantedCache(world="single", train=60, validation=40, test=10, rows=2, seed=seed)
        cache, options = planted.write(folder, [point]), TrainingOptions(strengths=STRENGTHS)
        self.loaded = load_targets(cache, [task], options)
        self.data = FeatureData(open_source(cache, point), self.loaded.split, self.loaded.targets, options)
        self.standardization = self.data.standardization()
        starts = Starts(self.data, self.standardization, self.loaded.tasks, options)
        self.view = starts.view(task, "mlp", "leading-16")
        self.targets = self.loaded.targets[task]

    @property
    def start(self) -> Tensor:
        """Weights of the closed form, for standardised means."""
        return self.view.weight[: self.view.start]

    def means(self, side: str) -> np.ndarray:
        rows = self.loaded.split.rows(side)
        return self.standardization(self.data.batch(rows).features).pooled.double().numpy()

    def codes(self, side: str) -> np.ndarray:
        boxes = [self.targets[row] for row in self.loaded.split.rows(side)]
        return np.stack([encode_boxes(box, least=0.01)[0].numpy() for box in boxes])


@pytest.mark.parametrize("point", ["lists.mild_snr", "lists.mild_snr.w1280"])
def test_it_is_the_one_that_scikit_learn_finds_best_by_its_errors(tmp_path: Path, point: str) -> None:
    opened = Opened(tmp_path, point, "position")
    found = {}
    for strength in STRENGTHS:
        ridge = Ridge(alpha=strength).fit(opened.means("train"), opened.codes("train"))
        error = np.square(ridge.predict(opened.means("validation")) - opened.codes("validation")).mean()
        found[error] = ridge.coef_
    np.testing.assert_allclose(opened.start[:4], found[min(found)], rtol=1e-3, atol=1e-5)


def test_where_there_is_nothing_to_read_training_samples_are_not_told_apart(tmp_path: Path) -> None:
    """With more channels than samples, a start that knows these would leave nothing to learn on them.

    One of six is better than a constant by a standard error, by luck.
    """
    told = 0
    for seed in range(6):
        opened = Opened(tmp_path / str(seed), "nothing.linear.w1280", "boxes", seed=seed)
        shown = opened.means("train") @ opened.view.weight[: 2 * opened.view.start].double().numpy().T
        told += shown.std(0).max() > 0.05
    assert told <= 2
