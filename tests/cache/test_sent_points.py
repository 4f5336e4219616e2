"""A point in another process, however that is started and whatever sends it there."""

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from foresight_cache import CachedPoint, open_cache
from foresight_cache.errors import CacheError, NotACache
from tests.support import planted


@pytest.fixture
def place(tmp_path: Path) -> Path:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    return tmp_path / "C"


@pytest.fixture
def point(place: Path) -> CachedPoint:
    """A point that has been read, so that rows, shards and an index of ids are in memory."""
    point = open_cache(place)["vit.block_01"]
    assert point["planted/train/0000"].shape == (24, 10)
    assert len(point.cache.samples) == 10
    return point


class Tokens(Dataset[torch.Tensor]):
    """What people write."""

    def __init__(self, point: CachedPoint) -> None:
        self.point = point

    def __len__(self) -> int:
        return len(self.point)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.point.torch(index).float()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader(point: CachedPoint, method: str) -> None:
    loader = DataLoader(Tokens(point), batch_size=4, num_workers=2, multiprocessing_context=method)
    batches = torch.cat(list(loader)).numpy()
    np.testing.assert_array_equal(batches, point[:])


def test_a_data_loader_takes_a_point_as_it_is(point: CachedPoint) -> None:
    sampler = torch.utils.data.BatchSampler(range(10), batch_size=4, drop_last=False)
    for given in (DataLoader(point, batch_size=4), DataLoader(point, sampler=sampler, batch_size=None)):  # type: ignore[arg-type,var-annotated]
        np.testing.assert_array_equal(torch.cat(list(given)).numpy(), point[:])


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes(point: CachedPoint, method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        received = pool.map_async(point.__getitem__, [3, "planted/train/0009", [1, 2]]).get(timeout=120)
    for found, selection in zip(received, [3, 9, [1, 2]], strict=True):
        np.testing.assert_array_equal(found, point[selection])


def test_joblib(point: CachedPoint) -> None:
    means = joblib.Parallel(n_jobs=2)(
        joblib.delayed(lambda point, index: point[index].mean())(point, i) for i in range(4)
    )
    np.testing.assert_array_equal(means, [point[index].mean() for index in range(4)])


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_what_is_sent_is_small(point: CachedPoint, dumps: object) -> None:
    """Ray and dask send by cloudpickle."""
    sent = dumps(point)  # type: ignore[operator]
    assert len(sent) < 1000, "a place and a name, and no rows"
    np.testing.assert_array_equal(pickle.loads(sent)[7], point[7])  # noqa: S301 - its own bytes
    labelled = pickle.loads(dumps(point.to_xarray()))  # type: ignore[operator]  # noqa: S301
    np.testing.assert_array_equal(labelled, point.to_xarray())


def receive(sent: bytes, folder: Path) -> str:
    """What a process that works in another folder says of the point's sixth sample."""
    code = "import pickle, sys; point = pickle.loads(sys.stdin.buffer.read()); print(len(point), float(point[5].sum()))"
    path = f"{Path(__file__).parents[2]}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=sent,
        cwd=folder,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.stdout.decode() + done.stderr.decode()


def test_a_relative_path_is_found_from_another_folder(
    place: Path, point: CachedPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    sent = pickle.dumps(open_cache("C")["vit.block_01"])
    assert receive(sent, Path("/")) == f"10 {float(point[5].sum())}\n"


def test_it_has_the_samples_that_it_had_where_it_was_sent_from(place: Path) -> None:
    late = (place / "samples/000001.json").read_bytes()
    (place / "samples/000001.json").unlink()
    point = open_cache(place)["vit.block_01"]
    sent = pickle.dumps(point)
    (place / "samples/000001.json").write_bytes(late)
    received: Sequence[np.ndarray] = pickle.loads(sent)  # noqa: S301 - its own bytes
    assert len(open_cache(place)["vit.block_01"]) == 10
    assert len(received) == 6
    np.testing.assert_array_equal(received[4], point[4])


def test_one_sentence_where_the_cache_is_not_there(place: Path, point: CachedPoint, tmp_path: Path) -> None:
    sent = pickle.dumps(point)
    shutil.move(place, tmp_path / "elsewhere")
    with pytest.raises(NotACache, match="C holds no cache"):
        pickle.loads(sent)  # noqa: S301 - its own bytes
    planted.write(place, planted.plan(planted.fixed_points(), name="another"))
    with pytest.raises(CacheError, match="C holds another cache here than where it was sent from"):
        pickle.loads(sent)  # noqa: S301 - its own bytes
