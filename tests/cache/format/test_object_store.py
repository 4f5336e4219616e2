"""A cache in an S3-compatible store: a real server on loopback."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from foresight_cache import CachedPoint, open_cache
from foresight_cache.errors import CacheError, CorruptCache, NotACache, UsageError
from foresight_cache.verify import verify, verify_sample
from tests.support import planted
from tests.support.buckets import get, put, put_folder, remove


def test_a_cache_opens_from_an_object_store(bucket: str, tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    put_folder(tmp_path / "C", f"{bucket}/runs/C")
    remote, local = open_cache(f"{bucket}/runs/C"), open_cache(tmp_path / "C")
    assert remote.points == local.points
    assert remote.samples.equals(local.samples)
    for point in local.points:
        np.testing.assert_array_equal(remote[point][9], local[point][9])
    assert verify(remote) == []
    put(f"{bucket}/runs/C/notes.txt", b"mine")
    put(f"{bucket}/runs/C2/zarr.json", b"another cache with a longer name")
    assert [(finding.place, finding.harmless) for finding in verify(remote)] == [("notes.txt", True)]
    remove(f"{bucket}/runs/C/notes.txt")
    remove(f"{bucket}/runs/C/pixels/c/1/0/0")
    assert [finding.place for finding in verify(open_cache(f"{bucket}/runs/C"))] == ["pixels/c/1/0/0"]
    assert [finding.place for finding in verify_sample(remote, 2).findings] == ["pixels/c/1/0/0"]


def test_zarr_and_xarray_read_from_an_object_store(bucket: str, tmp_path: Path) -> None:
    place = f"{bucket}/views/C"  # the server keeps what other tests put
    planted.write(tmp_path / "C", planted.plan(planted.points_of_every_type()), bad=(2,))
    put_folder(tmp_path / "C", place)
    remote, local = open_cache(place), open_cache(tmp_path / "C")
    features = xr.open_dataset(place, engine="foresight")
    for name in local.points:
        np.testing.assert_array_equal(remote[name].zarr[:], local[name].zarr[:])
        np.testing.assert_array_equal(remote[name].zarr[9, 2:4], local[name].zarr[9, 2:4])
        np.testing.assert_array_equal(features[name][9], local[name][9])
    remove(f"{place}/pixels/c/1/0/0")
    whole = get(f"{place}/llm.layer_01/c/1/0/0")
    put(f"{place}/llm.layer_01/c/1/0/0", whole[:-7])
    damaged = open_cache(place)
    for name, problem in {"pixels": "is missing", "llm.layer_01": r"has \d+ bytes, \d+ were committed"}.items():
        with pytest.raises(CorruptCache, match=problem):
            damaged[name].zarr[5]
        with pytest.raises(CorruptCache, match=problem):
            xr.open_dataset(place, engine="foresight")[name][5].load()
    remove(f"{place}/samples/000001.json")
    with pytest.raises(CacheError, match="2 of 3 shards committed"):
        _ = open_cache(place).zarr


def test_a_point_survives_a_fork_and_being_sent(bucket: str, tmp_path: Path) -> None:
    """The S3 client does not: it has a thread of its own, which the child of a fork lacks."""
    place = f"{bucket}/forks/C"
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    put_folder(tmp_path / "C", place)
    point, expected = open_cache(place)["vit.block_01"], open_cache(tmp_path / "C")["vit.block_01"]
    np.testing.assert_array_equal(point[1], expected[1])  # the client and the first shard are in use
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            received = pool.map_async(point.__getitem__, [0, 5, "planted/train/0009"]).get(timeout=60)
        np.testing.assert_array_equal(received, expected[[0, 5, 9]])
    np.testing.assert_array_equal(point[2], expected[2])
    inherited = multiprocessing.get_context("fork").Process(target=_read_both, args=(point, expected))
    inherited.start()
    inherited.join(60)
    assert inherited.exitcode == 0


def _read_both(point: CachedPoint, expected: CachedPoint) -> None:
    np.testing.assert_array_equal(point[[0, 1, 5]], expected[[0, 1, 5]])


def test_no_cache_in_a_bucket(bucket: str) -> None:
    with pytest.raises(NotACache, match="holds no cache"):
        open_cache(f"{bucket}/absent")


def test_an_unknown_scheme() -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        open_cache("gopher://features/C")


def test_a_store_that_cannot_be_reached_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials anywhere: an error of the S3 client's own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_S3"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="no credentials for S3 were found, neither in AWS_ACCESS_KEY_ID"):
        open_cache("s3://no-such/cache")
