"""The data module under a real Trainer; its batches against bare zarr, its split against that of trained probes."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import zarr
from torch import Tensor

import foresight_probes
from foresight_cache.errors import ProbeError, UnknownName, UsageError
from foresight_probes import CacheDataModule
from foresight_probes.tasks import counting
from tests.support import scenes

POINT = "vit.block_01"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    """Scenes of several sizes, one of them quarantined."""
    return scenes.write(tmp_path_factory.mktemp("scenes") / "C", 160, ragged=True, bad=(7,))


def covered(row: Mapping[str, Any]) -> float:
    """The share of the image that is in boxes, which the informative point's mean tells linearly."""
    sides = [(box[2] - box[0]) * (box[3] - box[1]) for thing in row["annotations"]["objects"] for box in [thing["box"]]]
    return sum(sides) / (row["width"] * row["height"])


class MeanLinear(pl.LightningModule):
    """What people write: a linear map of the mean over tokens."""

    def __init__(self, point: str, width: int) -> None:
        super().__init__()
        self.point, self.map = point, torch.nn.Linear(width, 1)
        self.errors: list[Tensor] = []

    def loss(self, batch: Any) -> Tensor:
        mask = batch["mask"][self.point][..., None]
        mean = (batch["features"][self.point] * mask).sum(1) / mask.sum(1)
        return (self.map(mean)[:, 0] - batch["target"]) ** 2

    def training_step(self, batch: Any, *_: Any) -> Tensor:
        return self.loss(batch).mean()

    def validation_step(self, batch: Any, *_: Any) -> None:
        self.log("validation", self.loss(batch).mean(), batch_size=len(batch["id"]))

    def test_step(self, batch: Any, *_: Any) -> None:
        self.errors.append(self.loss(batch))

    def predict_step(self, batch: Any, *_: Any) -> list[int]:
        rows: list[int] = batch["row"].tolist()
        return rows

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.03)


def test_a_trainer_learns_from_it(cache: "scenes.Cache") -> None:
    """Not so from a point that holds nothing."""
    explained = {}
    for point in (POINT, "vit.block_02"):
        data = CacheDataModule(cache, point, covered, batch_size=8)
        torch.manual_seed(0)
        model = MeanLinear(point, data.widths[point])
        trainer = pl.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.fit(model, datamodule=data)
        trainer.test(model, datamodule=data, verbose=False)
        predicted: Any = trainer.predict(model, datamodule=data)
        assert [row for rows in predicted for row in rows] == list(data.split.test)
        errors = torch.cat(model.errors)
        assert len(errors) == len(data.split.test)
        truth = [covered(cache.rows[row]) for row in data.split.test]
        chance = np.mean((np.mean([covered(cache.rows[row]) for row in data.split.train]) - truth) ** 2)
        explained[point] = 1 - float(errors.mean()) / chance
    assert explained[POINT] > 0.5
    assert explained["vit.block_02"] < 0.2


def test_batches_are_the_rows_that_zarr_reads(cache: "scenes.Cache") -> None:
    data = CacheDataModule(cache, [POINT, "pixels"], covered, batch_size=8, standardize=False)
    stored = np.asarray(zarr.open_array(Path(cache.path) / POINT, mode="r")[:])
    bare = (stored.astype(np.uint32) << 16).view(np.float32)
    for side, loader in (("train", data.train_dataloader()), ("validation", data.val_dataloader())):
        rows = []
        for batch in loader:
            for position, row in enumerate(batch["row"].tolist()):
                rows.append(row)
                tokens = batch["features"][POINT][position, batch["mask"][POINT][position]]
                np.testing.assert_array_equal(tokens.numpy(), bare[row, : len(tokens)])
                assert len(tokens) == 64 + 8 * (row % 3)
                assert batch["target"][position] == pytest.approx(covered(cache.rows[row]), rel=1e-6)
                assert batch["id"][position] == f"scenes/train/{row:04d}"
            assert batch["features"]["pixels"].dtype == torch.uint8
        assert sorted(rows) == list(data.split.rows(side))
        assert (rows == sorted(rows)) == (side != "train")


def test_standardization_is_that_of_numpy_over_training_tokens(cache: "scenes.Cache") -> None:
    data = CacheDataModule(cache, [POINT, "pixels"], None)
    tokens = np.concatenate([cache[POINT][row] for row in data.split.train]).astype(np.float64)
    item = data.dataset("test")[0]
    row = data.split.test[0]
    expected = (cache[POINT][row] - tokens.mean(0)) / tokens.std(0)
    np.testing.assert_allclose(item["features"][POINT].numpy(), expected, rtol=1e-3, atol=1e-4)
    assert item["features"]["pixels"].dtype == torch.uint8
    assert "target" not in item


def test_the_split_and_targets_are_those_of_train_probe(cache: "scenes.Cache", tmp_path: Path) -> None:
    chosen = {"points": POINT, "heads": "pooled-linear", "controls": False, "resamples": 10, "epochs": 1}
    runs = foresight_probes.train(cache, "counting", tmp_path, **chosen)
    data = CacheDataModule(cache, POINT, "counting")
    own = CacheDataModule(cache, POINT, lambda row: len(row["annotations"]["objects"]))
    table = runs.scores(where=["head=pooled-linear"])
    for one in (data, own):
        assert one.split.digest == runs.results[0].split["digest"]
        tested = [name for batch in one.test_dataloader() for name in batch["id"]]
        assert sorted(tested) == sorted(table["id"])
        assert [name for batch in one.predict_dataloader() for name in batch["id"]] == tested
    truth = dict(zip(table["id"], table["scores"].str[1], strict=True))
    for batch in data.test_dataloader():
        assert batch["target"].tolist() == [truth[name] for name in batch["id"]]


def test_the_order_is_a_function_of_the_seed(cache: "scenes.Cache") -> None:
    def order(seed: int) -> list[list[str]]:
        loader = CacheDataModule(cache, POINT, covered, seed=seed, standardize=False).train_dataloader()
        return [[name for batch in loader for name in batch["id"]] for _ in range(2)]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0)[0] != order(0)[1]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_make_the_same_batches(cache: "scenes.Cache", method: str) -> None:
    """Also of targets that are made from pixels when they are read."""
    here, there = (
        CacheDataModule(cache, POINT, "reconstruction", batch_size=16, **workers)
        for workers in ({}, {"num_workers": 2, "multiprocessing_context": method})
    )
    for one, other in zip(here.train_dataloader(), there.train_dataloader(), strict=True):
        assert one["id"] == other["id"]
        assert torch.equal(one["features"][POINT], other["features"][POINT])
        assert all(map(torch.equal, one["target"], other["target"]))


def test_it_can_be_sent(cache: "scenes.Cache") -> None:
    data = CacheDataModule(cache, POINT, "counting")
    received: Any = pickle.loads(pickle.dumps(data.dataset("test")))  # noqa: S301 - its own bytes
    assert torch.equal(received[1]["features"][POINT], data.dataset("test")[1]["features"][POINT])


def test_targets_that_are_made_from_features_are_refused(
    cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting.Task, "transforms_batch", True)
    with pytest.raises(UsageError, match="the task 'counting' makes its targets from the features of a batch"):
        CacheDataModule(cache, POINT, "counting")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"target": "countng"}, UnknownName, "did you mean 'counting'"),
        ({"target": "action"}, ProbeError, "no sample of the train split has an annotation for the task 'action'"),
        ({"target": 3}, UsageError, "target is 3, expected the name of a task, a function of a sample's row, or None"),
        (
            {"target": lambda _: None},
            ProbeError,
            "no sample of the train split has a target: the function returns None",
        ),
        ({"points": "E9"}, UnknownName, "E9"),
        ({"batch_size": 0}, UsageError, "batch_size is 0, expected a whole number of at least 1"),
        ({"train_share": 0.9}, UsageError, "train_share and validation_share add up to 1.05, expected less than 1"),
        ({"num_workers": -1}, UsageError, "num_workers is -1, expected a whole number of at least 0"),
        ({"multiprocessing_context": "threads"}, UsageError, "'threads', expected one of fork, spawn, forkserver"),
    ],
)
def test_bad_arguments(cache: "scenes.Cache", given: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        CacheDataModule(**{"cache": cache, "points": POINT, "target": covered, **given})
