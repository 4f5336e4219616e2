"""Preparation into a folder that holds something: the same set, another one, or what an interrupted run left."""

import fcntl
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.errors import DatasetError, ShardError, UsageError
from foresight_cache.runtime import file_locks
from foresight_cache.shards import open_shards
from tests.support.preparing import contents, edit, ids, prepare, refusal


def test_a_second_run_changes_nothing(raw: Path, tmp_path: Path) -> None:
    first = prepare("coco", root=raw, out=tmp_path / "s")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    for path in (raw / "train").iterdir():
        path.unlink()  # the media are not read again
    second = prepare("coco", root=raw, out=tmp_path / "s")
    assert (first.already_there, second.already_there) == (False, True)
    assert second.shards == first.shards
    assert second.splits == first.splits
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()} == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"limit": 3}, "--limit not given, not 3"),
        ({"samples_per_shard": 5}, "--samples-per-shard 64, not 5"),
        ({"split": "train"}, "--split not given, not 'train'"),
        ({"dataset": "shapes", "root": None}, "dataset 'coco', not 'shapes'"),
    ],
)
def test_another_request_into_the_same_place_is_refused(
    raw: Path, tmp_path: Path, change: dict[str, Any], difference: str
) -> None:
    prepare("coco", root=raw, out=tmp_path / "s")
    before = contents(tmp_path / "s")
    request = {"root": raw, "out": tmp_path / "s", **change}
    assert refusal(UsageError, **request) == (
        f"{tmp_path}/s already holds shards with {difference}; choose another --out"
    )
    assert contents(tmp_path / "s") == before


def test_another_seed_or_other_annotations_are_refused(raw: Path, tmp_path: Path) -> None:
    prepare("shapes", out=tmp_path / "a", limit=1)
    assert "--limit 1, but now it is not given; choose" in refusal(UsageError, dataset="shapes", out=tmp_path / "a")
    assert "--seed 0, not 5" in refusal(UsageError, dataset="shapes", out=tmp_path / "a", limit=1, seed=5)
    prepare("coco", root=raw, out=tmp_path / "b")
    edit(raw, lambda document: document["annotations"][0].update(area=1))
    assert refusal(UsageError, root=raw, out=tmp_path / "b") == (
        f"{tmp_path}/b already holds shards of other annotations than {raw} has; choose another --out"
    )


def test_a_place_that_holds_something_else_is_left_alone(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    for name in ("a.txt", "b.txt", "c.txt", "shard-000000.tar"):
        (out / name).write_text("years of work")
    before = contents(out)
    assert refusal(UsageError, root=raw, out=out) == (
        f"{out} already holds something else (a.txt, b.txt, c.txt, …); choose a new or empty folder for --out"
    )
    assert contents(out) == before
    assert refusal(UsageError, root=raw, out=out / "a.txt") == (
        f"{out}/a.txt is not a folder; choose a new folder for --out"
    )


def test_a_damaged_result_is_told(raw: Path, tmp_path: Path) -> None:
    prepare("coco", root=raw, out=tmp_path / "s")
    (tmp_path / "s" / "shard-000000.tar").write_bytes(b"")
    assert "has 0 bytes" in refusal(ShardError, root=raw, out=tmp_path / "s")


def test_a_failure_leaves_an_existing_folder_empty(raw: Path, tmp_path: Path) -> None:
    (raw / "annotations" / "instances_train.json").write_text("{")
    (tmp_path / "s").mkdir()
    assert "is not JSON" in refusal(DatasetError, root=raw, out=tmp_path / "s")
    assert list((tmp_path / "s").iterdir()) == []


def child(out: Path, before: str = "") -> subprocess.Popen[bytes]:
    """A preparation of 400 scenes in another process."""
    program = (
        f"{before}\nfrom pathlib import Path\nfrom tests.support.preparing import prepare\n"
        f"prepare('shapes', out=Path({str(out)!r}), limit=60, samples_per_shard=4)"
    )
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.005)


# Slow writing, so that the signal surely comes in between.
SLOW = """
import time
from foresight_cache.preparation import prepare_dataset
finish = prepare_dataset._finish
prepare_dataset._finish = lambda *arguments: (time.sleep(0.2), finish(*arguments))[1]
"""


def test_a_killed_preparation_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "s"
    process = child(out, SLOW)
    for number in (0, 1, 2):  # two are finished at a time, so that the first need not be the first to be there
        wait_for(out / f"shard-{number:06d}.tar", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with pytest.raises(ShardError, match="is not finished: it has no index"):
        open_shards(out)
    (out / "shard-000099.tar").write_bytes(b"left by a larger attempt")
    finished = (out / "shard-000000.tar").stat().st_mtime_ns
    prepare("shapes", out=out, limit=60, samples_per_shard=4)
    assert (out / "shard-000000.tar").stat().st_mtime_ns == finished, "what is done is not done again"
    prepare("shapes", out=tmp_path / "undisturbed", limit=60, samples_per_shard=4)
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_two_preparations_into_one_place(tmp_path: Path) -> None:
    out = tmp_path / "s"
    process = child(out, SLOW)
    wait_for(out / "shard-000000.tar", process)
    assert refusal(ShardError, dataset="shapes", out=out, limit=60, samples_per_shard=4) == (
        f"another process is preparing into {out}; wait for it or choose another --out"
    )
    assert process.wait() == 0, process.communicate()
    assert prepare("shapes", out=out, limit=60, samples_per_shard=4).already_there


def test_two_preparations_where_locks_keep_nobody_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "s"
    process = child(out, "import fcntl\nfcntl.flock = lambda *_: None\n" + SLOW)
    wait_for(out / "shard-000000.tar", process)
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    said = refusal(ShardError, dataset="shapes", out=out, limit=60, samples_per_shard=4)
    assert said.startswith("another process is preparing into")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    prepare("shapes", out=out, limit=60, samples_per_shard=4)
    assert not (out / ".claims").exists()
    prepare("shapes", out=tmp_path / "undisturbed", limit=60, samples_per_shard=4)
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A bound on the size of files stands in for the disk: the write fails in the same place."""
    full = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))"
    process = child(tmp_path / "s", full)
    _, said = process.communicate()
    assert process.returncode == 1
    assert b"OSError: [Errno 27] File too large" in said
    assert not (tmp_path / "s").exists()


def test_locks_are_not_needed_where_there_are_none(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(file_locks, "_told", {"Function not implemented"})
    assert len(ids(prepare("coco", root=raw, out=tmp_path / "s"))) == 6
