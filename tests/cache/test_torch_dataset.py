"""Points as a dataset of torch, against what bare zarr reads of the same files."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader

from foresight_cache import Cache, open_cache
from foresight_cache.errors import NoSuchSample, UnknownName, UsageError
from tests.support import planted

BAD = 5
GOOD = [row for row in range(10) if row != BAD]
POINTS = ["vit.block_01", "llm.layer_01"]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Ten samples of one grid, one of them quarantined."""
    planted.write(tmp_path / "C", planted.plan(planted.points_of_every_type()), bad=(BAD,))
    return open_cache(tmp_path / "C")


@pytest.fixture
def ragged(tmp_path: Path) -> Cache:
    """Ten samples of several grids, one of them quarantined."""
    planted.write(tmp_path / "R", planted.plan(planted.points_of_every_type(ragged=True)), ragged=True, bad=(BAD,))
    return open_cache(tmp_path / "R")


def bare(cache: Cache, point: str) -> np.ndarray:
    """[S, N, D] as zarr reads it, bfloat16 as the float32 whose upper half it is."""
    stored = np.asarray(zarr.open_array(Path(cache.path) / point, mode="r")[:])
    return (stored.astype(np.uint32) << 16).view(np.float32) if stored.dtype == np.uint16 else stored


def test_items_are_the_rows_that_zarr_reads(cache: Cache) -> None:
    dataset = cache.to_torch_dataset(",".join(POINTS))
    assert len(dataset) == 9
    assert list(dataset.rows) == GOOD
    assert list(dataset.ids) == [f"planted/train/{row:04d}" for row in GOOD]
    for item, row in zip(dataset, GOOD, strict=True):
        assert (item["row"], item["id"]) == (row, f"planted/train/{row:04d}")
        assert "target" not in item
        assert {name: grid.tolist() for name, grid in item["grids"].items()} == {
            name: [1, 4, 6] if name.startswith("vit") else [1, 2, 3] for name in dataset.points
        }
        for point in POINTS:
            tokens = item["features"][point]
            assert tokens.dtype == torch.float32
            np.testing.assert_array_equal(tokens.numpy(), bare(cache, point)[row])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_the_same(cache: Cache, method: str) -> None:
    """Also with a target that could not be sent: it is computed before."""
    dataset = cache.to_torch_dataset(POINTS, target=lambda row: float(row["slot"]))
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=method)
    batches = list(loader)
    assert torch.cat([batch["row"] for batch in batches]).tolist() == GOOD
    assert torch.cat([batch["target"] for batch in batches]).tolist() == GOOD
    assert [name for batch in batches for name in batch["id"]] == list(dataset.ids)
    for point in POINTS:
        tokens = torch.cat([batch["features"][point] for batch in batches])
        np.testing.assert_array_equal(tokens.numpy(), bare(cache, point)[GOOD])


def test_several_grids_are_padded_and_told(ragged: Cache) -> None:
    dataset = ragged.to_torch_dataset(POINTS, target="sample")
    loader = DataLoader(dataset, batch_size=4, collate_fn=dataset.collate)
    seen = []
    for batch in loader:
        for position, row in enumerate(batch["row"].tolist()):
            seen.append(row)
            assert batch["target"][position]["id"] == batch["id"][position] == f"planted/train/{row:04d}"
            for point in POINTS:
                height, width = (2 + row % 3, 5 - row % 2)
                if point.startswith("vit"):
                    height, width = 2 * height, 2 * width
                tokens, mask = batch["features"][point][position], batch["mask"][point][position]
                assert batch["grids"][point][position].tolist() == [1, height, width]
                assert mask.tolist() == [True] * (height * width) + [False] * (len(mask) - height * width)
                np.testing.assert_array_equal(tokens[mask].numpy(), bare(ragged, point)[row, : height * width])
                assert not tokens[~mask].any()
    assert seen == GOOD
    with pytest.raises(RuntimeError, match="equal size"):
        list(DataLoader(ragged.to_torch_dataset(POINTS), batch_size=4))


def test_it_is_sent_as_a_place_and_names(cache: Cache) -> None:
    dataset = cache.to_torch_dataset(POINTS)
    sent = pickle.dumps(dataset)
    assert len(sent) < 1500
    received: Any = pickle.loads(sent)  # noqa: S301 - its own bytes
    assert torch.equal(received[3]["features"][POINTS[0]], dataset[3]["features"][POINTS[0]])


@pytest.mark.parametrize(
    ("dtype", "expected"), [(None, torch.float32), (torch.bfloat16, torch.bfloat16), (torch.float64, torch.float64)]
)
def test_types_of_tokens(cache: Cache, dtype: torch.dtype | None, expected: torch.dtype) -> None:
    item = cache.to_torch_dataset(["vit.block_01", "pixels"], dtype=dtype)[2]
    assert item["features"]["vit.block_01"].dtype == expected
    assert torch.equal(item["features"]["vit.block_01"].float(), cache["vit.block_01"].torch(2).float()), "exact"
    assert item["features"]["pixels"].dtype == torch.uint8


def test_targets(cache: Cache) -> None:
    point = "llm.layer_01"

    def targets(**given: Any) -> list[Any]:
        dataset = cache.to_torch_dataset(point, **given)
        return [(item["row"], item["target"]) for item in dataset]

    assert targets(target="group") == [(row, f"group-{row}") for row in GOOD]
    assert targets(target={2: "a", 7: "b", BAD: "c"}) == [(2, "a"), (7, "b")]
    odd = targets(target=lambda row: row["slot"] if row["slot"] % 2 else None, samples=slice(1, 8))
    assert odd == [(1, 1), (3, 3), (7, 7)], "without quarantined ones, and those without a target"
    named = cache.to_torch_dataset(point, samples="planted/train/0003")
    assert named.rows == (3,)
    assert repr(named) == f"<dataset of 1 samples at llm.layer_01 of {cache.path}>"


def test_targets_in_batches(cache: Cache) -> None:
    def batch(target: Any) -> Any:
        dataset = cache.to_torch_dataset("llm.layer_01", target=target)
        return next(iter(DataLoader(dataset, batch_size=3, collate_fn=dataset.collate)))["target"]

    assert batch(lambda row: row["slot"] / 2).tolist() == [0.0, 0.5, 1.0]
    assert batch(lambda row: row["slot"] / 2).dtype == torch.float32
    assert batch(lambda row: np.array([row["slot"], 1])).tolist() == [[0, 1], [1, 1], [2, 1]]
    assert [one.tolist() for one in batch(lambda row: torch.arange(row["slot"]))] == [[], [0], [0, 1]]
    assert batch("split") == ["train"] * 3


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"points": "vit.blok_01"}, UnknownName, "vit.block_01"),
        ({"points": []}, UsageError, "points is \\[\\], expected names"),
        ({"target": "grop"}, UnknownName, "did you mean 'group'"),
        (
            {"target": 3},
            UsageError,
            "target is 3, expected a column of cache.samples, a function of its rows, or answers",
        ),
        ({"target": lambda _: None}, UsageError, "all that were chosen are without a target; choose others"),
        ({"samples": [BAD]}, UsageError, "no sample is left of .*: all that were chosen are quarantined"),
        ({"samples": "none"}, NoSuchSample, "there is no sample 'none' of 10"),
        ({"dtype": torch.int64}, UsageError, "dtype is torch.int64, expected a type of floats such as torch.bfloat16"),
        ({"dtype": "float32"}, UsageError, "dtype is 'float32', expected a type of floats"),
    ],
)
def test_bad_arguments(cache: Cache, given: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        cache.to_torch_dataset(**{"points": "llm.layer_01", **given})
