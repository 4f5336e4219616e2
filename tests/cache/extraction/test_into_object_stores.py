"""`foresight extract --out s3://…`, end to end: as on disk, and one sentence for whatever a store does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from foresight_cache import open_cache
from foresight_cache.format.shard_object import ShardObjectWriter
from foresight_cache.format.stores import patience
from foresight_cache.verify import verify
from tests.support import buckets
from tests.support.command import foresight, said
from tests.support.losing_store import FAULTS, LosingStore, Request, losing_store
from tests.support.preparing import prepare

MODEL = ("--model", "tiny:dinov2", "--points", "E1,E3", "--size", 56, "--device", "cpu")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "S"
    prepare("shapes", out=folder, limit=10, samples_per_shard=4)
    return folder


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The cache as a local run makes it, by key."""
    out = tmp_path_factory.mktemp("whole") / "C"
    assert foresight("extract", shards, *MODEL, "--out", out).returncode == 0
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LosingStore]:
    monkeypatch.setattr(patience, "PAUSES", (0.02, 1.0))
    with losing_store(monkeypatch) as store:
        yield store


def contents(server: LosingStore, name: str = "C") -> dict[str, bytes]:
    return {key.removeprefix(f"{name}/"): each.data for key, each in server.objects.items() if key.startswith(name)}


def test_a_store_gets_the_bytes_of_a_local_run(
    server: LosingStore, shards: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    turns = cycle([None, *FAULTS])
    server.fault = lambda request: next(turns) if request.method == "PUT" else None
    run = foresight("extract", shards, *MODEL, "--scratch", tmp_path / "scratch", "--out", "s3://features/C")
    assert run.returncode == 0, run.stderr
    assert "place       s3://features/C" in run.stdout
    assert contents(server) == whole
    assert server.done.keys() == set(FAULTS), "all of these did happen"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "scratch is empty again"
    server.fault = lambda _request: None
    server.requests.clear()
    assert foresight("extract", shards, *MODEL, "--out", "s3://features/C").returncode == 0
    written = {request.key for request in server.requests if request.method == "PUT"}
    assert all(".partial/" in key for key in written), "a second run writes nothing but its probe"


def test_commands_read_from_a_real_server(
    bucket: str, shards: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{bucket}/extracted/C"
    assert foresight("extract", shards, *MODEL, "--out", place).returncode == 0
    assert buckets.contents(place) == whole
    assert "10 of 10" in foresight("inspect", place).stdout
    assert foresight("verify", place).stdout == f"{place}: no findings\n"
    remote = open_cache(place)
    point = remote["E3"]
    np.testing.assert_array_equal(remote.zarr[point.name][:], point.zarr[:])
    features = xr.open_dataset(place, engine="foresight")
    np.testing.assert_array_equal(features[point.name][7], point[7])
    with pytest.raises(Exception, match="is read-only through Zarr"):
        remote.zarr[point.name][0] = 0
    more = ("--model", "tiny:dinov2", "--points", "E2", "--size", 56, "--device", "cpu")
    assert foresight("extract", shards, *more, "--out", place).returncode == 0
    assert set(open_cache(place).points) == {*remote.points, *open_cache(place).select(["E2"])}
    assert verify(open_cache(place)) == []


def from_request(number: int, fault: str) -> Any:
    def later(request: Request) -> str | None:
        return fault if request.number > number else None

    return later


class TestSentences:
    def test_a_store_is_refused_before_a_model_is_loaded(
        self, server: LosingStore, shards: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(out: str, status: int = 1) -> str:
            return said("extract", shards, "--model", "no/such", "--points", "E1", "--out", out, status=status)

        assert "NoSuchBucket: told to; create the bucket, or check the URL" in refused("s3://no-such-bucket/C")
        assert "https://example.org/C can be read but not written" in refused("https://example.org/C", 2)
        assert "s3:/// names no bucket" in refused("s3:///", 2)
        server.conditions = False
        assert "s3://features/C has no conditional writes" in refused("s3://features/C")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
        assert "no credentials for S3 were found" in refused("s3://features/C", 2)
        assert server.objects == {}

    def test_a_prefix_that_holds_something_else(self, server: LosingStore, shards: Path) -> None:
        server.put("C/notes.txt", b"mine", {})
        told = said("extract", shards, *MODEL, "--out", "s3://features/C", status=1)
        assert "s3://features/C holds files that are not a cache" in told
        assert contents(server) == {"notes.txt": b"mine"}

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            ("403", "ExpiredToken: told to; renew the credentials"),
            ("503 before", ": 503 S"),
        ],
    )
    def test_a_store_that_turns_away_in_the_middle(
        self,
        server: LosingStore,
        shards: Path,
        whole: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
        fault: str,
        sentence: str,
    ) -> None:
        monkeypatch.setenv("FORESIGHT_RETRY_SECONDS", "1")
        server.fault = from_request(45, fault)
        told = said("extract", shards, *MODEL, "--out", "s3://features/C", status=1)
        assert sentence in told
        assert "what is finished is kept" in told
        assert len(told.splitlines()) == 1
        server.fault = lambda _request: None
        assert foresight("extract", shards, *MODEL, "--out", "s3://features/C").returncode == 0
        assert {key: data for key, data in contents(server).items() if ".partial/" not in key} == whole

    def test_a_full_scratch_disk(
        self, server: LosingStore, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class OnFullDisk(ShardObjectWriter):
            def __init__(self, path: Path, chunks: int, **options: Any) -> None:
                super().__init__(path, chunks, **options)
                self._file = open("/dev/full", "wb", buffering=0)  # noqa: PTH123, SIM115 - closed by the writer

        monkeypatch.setattr("foresight_cache.writer.ShardObjectWriter", OnFullDisk)
        told = said("extract", shards, *MODEL, "--scratch", tmp_path, "--out", "s3://features/C", status=1)
        assert f"the disk is full ({tmp_path}/foresight-scratch-" in told
        assert "run the same command again" in told
        assert not [key for key in server.objects if ".partial" in key or "/c/" in key]


def _killed(kind: str, kills: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.killed_store_writers", kind, str(kills), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_killed_writers_leave_a_cache_that_can_be_completed() -> None:
    assert _killed("losing", 1, seed=1)["kills"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["losing", "moto"])
def test_many_killed_writers(kind: str) -> None:
    done = _killed(kind, 35, seed=2)
    assert done["kills"] >= 35
    assert done["partly committed"]
