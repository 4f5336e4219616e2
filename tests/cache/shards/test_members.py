"""Names of the files of a sample in a tar."""

import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import webdataset

from foresight_cache.preparation.duplicates import media_digest
from foresight_cache.shards import (
    read_shard,
    write_shard,
)
from foresight_cache.shards.members import are_whole, frames_of, labels_of
from tests.support.shard_sets import sample, write


@pytest.mark.parametrize(
    ("suffix", "member"), [(".JPEG", "jpeg"), ("", "media"), (".json", "media"), (".t%r", "media"), (".tar.gz", "gz")]
)
def test_any_file_name_has_a_member(tmp_path: Path, suffix: str, member: str) -> None:
    info = write_shard(tmp_path, 0, 0, [sample(0, suffix)])
    with tarfile.open(tmp_path / info.name) as tar:
        assert sorted(tar.getnames()) == sorted([f"000000000.{member}", "000000000.json"])


CLIP = {"00000.jpg": b"first", "00001.jpg": b"second", "00001.seg.png": b"labels of the second"}


def test_frames_and_labels_travel_as_members(tmp_path: Path) -> None:
    """The order in which they are handed over does not matter to who reads them."""
    shard_set = write(tmp_path, count=1)
    info = write_shard(tmp_path, 0, 0, [(sample(0)[0], CLIP)])
    ((_, members),) = read_shard(replace(shard_set, shards=(info,)), 0)
    assert members == CLIP
    assert (frames_of(members), labels_of(members)) == ([b"first", b"second"], [b"labels of the second"])
    assert media_digest(members) == hashlib.sha256(b"firstsecond").hexdigest()
    (found,) = webdataset.WebDataset([str(tmp_path / info.name)], shardshuffle=False)
    assert found["00001.seg.png"] == b"labels of the second"


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["seg.png"],
        ["jpg", "png"],
        ["jpg", "00000.jpg"],
        ["00001.jpg"],
        ["00000.jpg", "00002.jpg"],
        ["00000.jpg", "00001.png"],
        ["00000.jpg", "00001.seg.png"],
        ["jpg", "00000.seg.png"],
        ["jpg", "a.b"],
    ],
)
def test_members_that_make_no_sample(names: list[str]) -> None:
    assert not are_whole(names)
