"""Heads that are trained by plain Adam: that they learn, and that Q2's queries see no places."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresight_probes import tasks
from foresight_probes.batches import OutputSpec
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.tasks import TaskContext
from pipelines.discrepancy import set_probes
from pipelines.discrepancy.planted_readings import Planted, PlantedPart, sides_of

POINT = "objects.linear"
PLANTED = PlantedCache(world="single", train=80, validation=20, test=40, rows=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


def test_features_are_standardised_like_the_training_samples(folder: Path) -> None:
    cache = PLANTED.write(folder / "caches", [POINT])
    rows = sides_of(cache)["train"]
    features = set_probes.read_features(cache, POINT, rows, rows)
    flat_MD = features.tokens.flatten(0, 1)
    assert flat_MD.mean(0).abs().max() < 1e-4
    assert flat_MD.std(0).numpy() == pytest.approx(1, abs=1e-4)
    assert features.cells[0, 9].tolist() == [0.1875, 0.1875, 0.125, 0.125]


def test_a_part_reads_more_with_more_epochs_and_more_than_chance(folder: Path) -> None:
    wanted = tuple(
        Planted(key=f"{epochs}", what="", head="token-linear", point=POINT, epochs=epochs) for epochs in (1, 40)
    )
    part = PlantedPart(part="", task="position", metric="mean_iou", cache=PLANTED, wanted=wanted)
    short, long = part.readings(folder)
    assert len(long.scores) == 3
    assert short.chance is not None
    values = [np.mean([np.asarray(own)[:, 0].mean() for own in reading.scores]) for reading in (short, long)]
    assert values[1] > 0.8 > values[0]
    assert short.chance < 0.4


def test_queries_of_q2_are_told_no_places(folder: Path) -> None:
    cache = PLANTED.write(folder / "caches", [POINT])
    features = set_probes.read_features(cache, POINT, [0, 1], [0, 1])
    network = set_probes.DetectionProbe(
        width=features.tokens.shape[2], outputs=OutputSpec(num_predictions=5, channels=7)
    )
    shuffled = set_probes.read_features(cache, POINT, [0, 1], [0, 1])
    shuffled.tokens[:] = shuffled.tokens[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    assert torch.allclose(network(features).values, network(shuffled).values, atol=1e-5)
    assert not torch.allclose(network(features).values[0], network(features).values[1], atol=1e-3)


def test_the_seed_decides_the_weights(folder: Path) -> None:
    cache = PLANTED.write(folder / "caches", [POINT])
    task = tasks.load("position", TaskContext(samples=cache.rows))
    features = set_probes.read_features(cache, POINT, range(8), range(8))
    targets = [target for row in cache.rows[:8] if (target := task.target(row)) is not None]
    weights = [
        set_probes.fit("token-linear", task, features, targets, epochs=1, seed=seed).state_dict() for seed in (0, 0, 1)
    ]
    name = next(iter(weights[0]))
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])
