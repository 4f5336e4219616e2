"""Tars that are read: what was written, and what somebody else put there. Compared with the webdataset reader."""

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import webdataset

from foresight_cache.shards import (
    ShardSet,
    open_shards,
    read_shard,
    write_index,
)
from tests.support.shard_sets import refusal, sample, write


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path / "s")
    opened = open_shards(tmp_path / "s")
    assert opened == written
    assert (opened.samples, len(opened.shards)) == (5, 3)
    everything = [pair for number in range(3) for pair in read_shard(opened, number)]
    assert everything == [sample(number) for number in range(5)]
    assert list(read_shard(opened, 2, verify=False)) == [sample(4)]


def test_webdataset_reads_the_tars(tmp_path: Path) -> None:
    write(tmp_path / "s")
    urls = [str(path) for path in sorted((tmp_path / "s").glob("*.tar"))]
    found = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [each["__key__"] for each in found] == [f"{slot:09d}" for slot in range(5)]
    assert [each["jpg"] for each in found] == [sample(number)[1]["jpg"] for number in range(5)]
    assert [json.loads(each["json"])["id"] for each in found] == [sample(number)[0].id for number in range(5)]


def test_a_flipped_bit_is_found_before_anything_comes(tmp_path: Path) -> None:
    shard_set = write(tmp_path)
    path = tmp_path / "shard-000000.tar"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # in the padding, where no tar reader looks
    path.write_bytes(data)
    assert refusal(lambda: next(read_shard(open_shards(tmp_path), 0))) == (
        f"{path} is not what was prepared: its sha256 differs from the index; "
        "prepare the dataset again into a new folder"
    )
    assert len(list(read_shard(shard_set, 0, verify=False))) == 2


def tar_of(members: list[tuple[str, bytes]], kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = (len(data), kind, "/etc/passwd")
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def plant(folder: Path, data: bytes) -> ShardSet:
    """A set whose only tar has other bytes, of which the index approves."""
    shard_set = write(folder, count=2)
    (folder / "shard-000000.tar").write_bytes(data)
    info = replace(shard_set.shards[0], size=len(data), sha256=hashlib.sha256(data).hexdigest())
    write_index(replace(shard_set, shards=(info,)))
    return open_shards(folder)


def record(number: int) -> bytes:
    return json.dumps(sample(number)[0].to_json()).encode()


SOUND = [("000000000.jpg", b"0"), ("000000000.json", record(0)), ("000000001.jpg", b"1"), ("000000001.json", record(1))]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (SOUND[:2], " ends before the sample 000000001, which its index lists; prepare"),
        ([], " ends before the sample 000000000, which its index lists; prepare"),
        (SOUND[2:], " holds a sample 000000001, its index says 000000000; prepare"),
        ([*SOUND, ("000000002.jpg", b"2")], " holds a sample 000000002, its index says nothing more; prepare"),
        (
            [("../../outside.jpg", b"x"), *SOUND],
            " holds '../../outside.jpg', which is not a member of a prepared shard",
        ),
        (
            [("/000000000.jpg", b"x"), *SOUND],
            " holds '/000000000.jpg', which is not a member of a prepared shard; prepare",
        ),
        ([SOUND[0], *SOUND[2:]], ": 000000000 has members 'jpg', expected its media and 'json'; prepare"),
        ([("000000000.png", b""), *SOUND], ": 000000000 has members 'jpg', 'json', 'png', expected its media"),
        ([SOUND[0], ("000000000.json", b"{"), *SOUND[2:]], ": 000000000.json is not a sample: Expecting property name"),
        (
            [SOUND[0], ("000000000.json", b"{}"), *SOUND[2:]],
            ": 000000000.json is not a sample: sample record has schema",
        ),
        (
            [SOUND[0], ("000000000.json", record(1)), *SOUND[2:]],
            ": 000000000.json is the sample 'kitchen/train/001', the",
        ),
    ],
)
def test_a_foreign_tar_is_refused(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    assert len(list(read_shard(plant(tmp_path / "sound", tar_of(SOUND)), 0))) == 2
    shard_set = plant(tmp_path / "s", tar_of(members))
    text = refusal(lambda: list(read_shard(shard_set, 0)))
    assert text.startswith(f"{tmp_path}/s/shard-000000.tar{message}")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_only_plain_files_are_members(tmp_path: Path, kind: bytes) -> None:
    shard_set = plant(tmp_path, tar_of([("000000000.jpg", b"")], kind))
    assert "holds '000000000.jpg', which is not a member of a prepared shard" in refusal(
        lambda: list(read_shard(shard_set, 0))
    )


def test_a_size_that_the_tar_cannot_have_is_not_allocated(tmp_path: Path) -> None:
    data = bytearray(tar_of(SOUND))
    header = tarfile.TarInfo("000000000.jpg")
    header.size = 1 << 32
    data[:512] = header.tobuf(tarfile.USTAR_FORMAT)
    shard_set = plant(tmp_path, bytes(data))
    assert "which is not a member of a prepared shard" in refusal(lambda: list(read_shard(shard_set, 0)))


@pytest.mark.parametrize("kept", [100, 512, 700, 1500])
def test_a_cut_tar_of_which_the_index_approves(tmp_path: Path, kept: int) -> None:
    shard_set = plant(tmp_path, tar_of(SOUND)[:kept])
    assert "shard-000000.tar" in refusal(lambda: list(read_shard(shard_set, 0)))
    assert "shard-000000.tar" in refusal(lambda: list(read_shard(shard_set, 0, verify=False)))
