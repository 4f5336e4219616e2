"""Tars that are written, against `tarfile`."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.shards import (
    write_shard,
)
from foresight_cache.shards.tar_blocks import header
from tests.support.shard_sets import sample, write


def test_a_tar_holds_the_original_bytes_and_the_record(tmp_path: Path) -> None:
    write(tmp_path / "s")
    with tarfile.open(tmp_path / "s" / "shard-000001.tar") as tar:
        members = {member.name: member for member in tar}
        assert list(members) == ["000000002.jpg", "000000002.json", "000000003.jpg", "000000003.json"]
        media = tar.extractfile("000000003.jpg")
        record = tar.extractfile("000000003.json")
        assert media is not None
        assert record is not None
        assert media.read() == sample(3)[1]["jpg"]
        text = record.read().decode()
    assert json.loads(text) == sample(3)[0].to_json()
    assert "Tasse à café" in text
    assert {(each.mtime, each.mode, each.uid, each.uname) for each in members.values()} == {(0, 0o644, 0, "foresight")}


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert first.digest == second.digest
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert write(tmp_path / "c", count=4).digest != first.digest


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    broken: Any = (sample(0)[0], {"jpg": "text where bytes belong and é"})
    unwritable: Any = (replace(sample(1)[0], annotations={"x": float("nan")}), {"jpg": b""})
    for batch in ([sample(0), unwritable], [broken, (sample(1)[0], {"jpg": object()})]):
        with pytest.raises((ValueError, TypeError)):
            write_shard(tmp_path, 0, 0, batch)
        assert not list(tmp_path.iterdir())


def test_what_no_header_has_room_for_is_refused() -> None:
    for name, size in (("x" * 100, 1), ("a", 8**11), ("", 1)):
        with pytest.raises(ValueError, match=r"does not fit a tar's header|overflow"):
            header(name, size)
