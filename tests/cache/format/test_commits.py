"""What makes a commit: it is the last to become durable, and it belongs to this shard of this cache."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from foresight_cache import open_cache
from foresight_cache.errors import CorruptCache
from foresight_cache.records import digest
from foresight_cache.verify import verify
from foresight_cache.writer import CacheWriter
from tests.support import planted


class Disk:
    """What the system is asked to make, to make durable and to rename, in order. Files are told apart by inode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, int, int, str]] = []
        self._fsync, self._rename, self._link, self._mkdir = os.fsync, os.rename, os.link, os.mkdir
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "rename", self.rename)
        monkeypatch.setattr(os, "link", self.link)
        monkeypatch.setattr(os, "mkdir", self.mkdir)

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        self.events.append(("fsync", status.st_ino, status.st_size, ""))

    def rename(self, old: str | Path, new: str | Path, **others: Any) -> None:
        status = Path(old).stat()
        self._rename(old, new, **others)
        self.events.append(("name", status.st_ino, status.st_size, os.fspath(new)))

    def link(self, old: str | Path, new: str | Path, **others: Any) -> None:
        status = Path(old).stat()
        self._link(old, new, **others)
        self.events.append(("name", status.st_ino, status.st_size, os.fspath(new)))

    def mkdir(self, path: str | Path, *others: Any) -> None:
        self._mkdir(path, *others)
        self.events.append(("mkdir", Path(path).stat().st_ino, 0, os.fspath(path)))

    def place(self, kind: str, inode: int, size: int | None = None) -> int:
        """When that happened for the last time; fails where it never did."""
        found = [
            number
            for number, event in enumerate(self.events)
            if event[:2] == (kind, inode) and size in (None, event[2])
        ]
        assert found, f"{kind} of inode {inode} with {size} bytes never happened"
        return found[-1]


def test_all_is_durable_before_the_commit_and_the_commit_before_the_claim_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    plan = planted.plan(planted.fixed_points(), samples=4)
    planted.write(tmp_path / "C", plan)
    objects = [tmp_path / "C" / point / "c/0/0/0" for point in plan.points]
    metadata = [tmp_path / "C" / key / "zarr.json" for key in ("", "samples", *plan.points)]
    commit = tmp_path / "C/samples/000000.json"
    committed = disk.place("name", commit.stat().st_ino)
    for path in (*metadata, *objects, commit):
        status = path.stat()
        given = disk.place("name", status.st_ino)
        assert disk.events[given][3] == str(path)
        assert disk.place("fsync", status.st_ino, status.st_size) < given, f"{path.name} was not whole on the disk"
        named = disk.place("fsync", path.parent.stat().st_ino)
        assert given < named, f"the name of {path} was not made durable"
        if path != commit and path.parent != commit.parent:
            assert named < committed, f"{path} was made durable after the commit"
    folders = {folder for path in (*metadata, *objects) for folder in path.parents}
    for folder in (each for each in folders if each.is_relative_to(tmp_path / "C")):
        made, named = disk.place("mkdir", folder.stat().st_ino), disk.place("fsync", folder.parent.stat().st_ino)
        assert made < named, f"the name of {folder} was not made durable"
    assert disk.events[-1][:2] == ("fsync", commit.parent.stat().st_ino), "nothing follows the commit"


def resealed(path: Path, **changes: Any) -> None:
    record = json.loads(path.read_bytes())
    body = {name: value for name, value in (record | changes).items() if name != "sha256"}
    text = json.dumps(body | {"sha256": digest(body)}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    path.write_bytes(text.encode())


FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "another cache": ({"fingerprint_sha256": "0" * 64}, "is of a cache with another fingerprint"),
    "another tar": ({"source_sha256": "0" * 64}, "is of another tar"),
    "another shard": ({"shard": 0}, "is of shard 0, not of this one"),
    "fewer rows": ({"rows": []}, "has 0 rows, its shard has 4 samples"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_commit_that_belongs_elsewhere_is_not_taken_for_ours(tmp_path: Path, name: str) -> None:
    """Its own digest is right, as it is where a file was copied from another cache."""
    changes, sentence = FOREIGN[name]
    plan = planted.plan(planted.fixed_points())
    planted.write(tmp_path / "C", plan)
    resealed(tmp_path / "C/samples/000001.json")
    assert verify(open_cache(tmp_path / "C")) == [], "sealed by hand as the writer seals it"
    resealed(tmp_path / "C/samples/000001.json", **changes)
    with pytest.raises(CorruptCache, match=sentence):
        _ = open_cache(tmp_path / "C").samples
    with CacheWriter(tmp_path / "C", plan) as writer, pytest.raises(CorruptCache, match=sentence):
        list(writer.pending(tuple(plan.points)))
    places = {finding.place: finding.problem for finding in verify(open_cache(tmp_path / "C"))}
    assert places.keys() == {"samples/000001.json"}
    (tmp_path / "C/samples/000001.json").unlink()
    planted.write(tmp_path / "C", plan)
    assert verify(open_cache(tmp_path / "C")) == [], "the way out that the sentence names"


def test_a_commit_in_another_spelling_is_read_and_not_left_by_a_writer(tmp_path: Path) -> None:
    plan = planted.plan(planted.fixed_points())
    planted.write(tmp_path / "C", plan)
    path = tmp_path / "C/samples/000001.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1))
    assert len(open_cache(tmp_path / "C")) == 10
    assert {finding.place for finding in verify(open_cache(tmp_path / "C"))} == {"samples/000001.json"}
    with pytest.raises(CorruptCache, match=r"000001\.json is not spelled as it was written; remove it"):
        planted.write(tmp_path / "C", plan)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"shard": "1"}, r"record\.shard is '1', expected an integer from 0 to"),
        ({"source_sha256": "x"}, r"record\.source_sha256 is 'x', expected a SHA-256 in hexadecimal"),
        ({"objects": []}, r"record\.objects is \[\], expected an object"),
        ({"objects": {"vit.block_01": {"bytes": -1}}}, r"record\.objects\.vit\.block_01\.bytes is -1, expected an int"),
        ({"rows": [7]}, r"rows\[0\] is 7, expected an object"),
        ({"more": 1}, r"record has an unknown field 'more'"),
    ],
)
def test_a_record_that_is_sealed_but_wrong_names_the_field(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    resealed(tmp_path / "C/samples/000001.json", **changes)
    with pytest.raises(CorruptCache, match=rf"000001\.json is not a commit record of format 1: {problem}.*extract"):
        _ = open_cache(tmp_path / "C").samples
