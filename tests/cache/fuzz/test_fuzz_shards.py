"""Damaged tars and indices: refused, or read as exactly the samples that were prepared."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache.errors import ForesightError
from foresight_cache.records import digest
from foresight_cache.samples import Sample
from foresight_cache.shards import Packed, ShardSet, open_shards, read_shard, write_index, write_shard
from tests.support.mutations import damaged, distorted, spelled
from tests.support.trial import Trials, generators, put, some

_SIZE, _CHECKSUM, _KIND = slice(124, 136), slice(148, 156), 156
_TAR_SIZES = (b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + b"\0" * 10 + b"\x09", b"77777777777\0", b"-0000000512\0")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of small made-up media, in a folder with a tree around it."""
    folder = tmp_path_factory.mktemp("fuzz") / "around" / "S"
    folder.mkdir(parents=True)
    generator = random.Random(5)  # noqa: S311
    samples = [(_sample(slot), {"png": generator.randbytes(300 + 100 * slot)}) for slot in range(5)]
    shards = tuple(write_shard(folder, number, 3 * number, samples[3 * number :][:3]) for number in range(2))
    write_index(
        ShardSet(
            path=folder,
            dataset="made",
            manifest={"name": "made", "family": "coco", "splits": ["train"]},
            manifest_digest="0" * 64,
            samples_per_shard=3,
            request={"limit": 5},
            source="1" * 64,
            shards=shards,
        )
    )
    return folder


def _sample(slot: int) -> Sample:
    return Sample(
        id=f"made/train/{slot}",
        dataset="made",
        split="train",
        group=f"made/{slot}",
        media="image",
        file_name=f"train/{slot}.png",
        width=10,
        height=10,
        annotations={"objects": []},
    )


Content = list[Packed]


def everything(shard_set: ShardSet, *, verify: bool = True) -> Content:
    return [pair for number in range(len(shard_set.shards)) for pair in read_shard(shard_set, number, verify=verify)]


def reheadered(data: bytes, generator: random.Random, donor: bytes) -> bytes:
    """Members of another kind, size or name, with right header checksums."""
    result = bytearray(data)
    for _ in range(generator.choice((1, 1, 2))):
        start = 512 * generator.randrange(len(data) // 512)
        header = result[start : start + 512]
        if generator.random() < 0.4:
            header[_KIND] = generator.choice(b"0123456789xgLKSDVMN\0")
        if generator.random() < 0.5:
            header[_SIZE] = generator.choice((*_TAR_SIZES, b"%011o\0" % generator.choice((0, 1, 511, 513, 8**10))))
        if generator.random() < 0.4:
            name = generator.choice((b"../../canary/planted", b"/canary", b"000000001.json", b"000000000.png", b"\xff"))
            header[:100] = name.ljust(100, b"\0")
        header[_CHECKSUM] = b" " * 8
        header[_CHECKSUM] = b"%06o\0 " % sum(header)
        result[start : start + 512] = header
    return bytes(result)


def chained(data: bytes, generator: random.Random, donor: bytes) -> bytes:
    """A chain of headers that each describe the next one, for which tarfile calls itself."""
    header = bytearray(data[:512])
    header[_KIND] = generator.choice(b"xgLK")
    header[_SIZE] = b"%011o\0" % 0
    header[_CHECKSUM] = b" " * 8
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header) * generator.choice((1, 50, 2000)) + data


def resealed(shard_set: ShardSet) -> ShardSet:
    """The set as an index would have it whose author takes the tars for good."""
    files = [(shard_set.path / shard.name).read_bytes() for shard in shard_set.shards]
    shards = tuple(
        replace(shard, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for shard, data in zip(shard_set.shards, files, strict=True)
    )
    return replace(shard_set, shards=shards)


_DAMAGES = (*[damaged] * 9, *[reheadered] * 10, chained)


@pytest.mark.parametrize("sealed", [False, True], ids=["as it was sealed", "sealed again"])
def test_damaged_tars(whole: Path, sealed: bool) -> None:
    shard_set = open_shards(whole)
    truth = everything(shard_set)
    donor = (whole / "shard-000001.tar").read_bytes()
    with Trials(whole) as trials:
        for number, generator in generators(2, some(900)):
            tar = whole / generator.choice(shard_set.shards).name
            damage = generator.choice(_DAMAGES)
            with put(tar, data := damage(tar.read_bytes(), generator, donor)):
                if sealed:  # then the parser alone stands between the damage and the model
                    result = trials.run(number, lambda: everything(resealed(shard_set), verify=False))
                else:
                    result = trials.run(number, lambda: everything(open_shards(whole)))
            if not sealed and not isinstance(result, ForesightError):
                assert data == tar.read_bytes(), f"tar {number} is damaged and was read"
                assert result == truth
            if sealed and not isinstance(result, ForesightError):
                assert [sample.id for sample, _ in result] == [sample.id for sample, _ in truth]
        trials.assert_nothing_outside_changed()
        assert everything(open_shards(whole)) == truth
    assert trials.outcomes["ShardError"] > some(300)


@pytest.mark.parametrize("sealed", [False, True], ids=["as it was sealed", "sealed again"])
def test_distorted_indices(whole: Path, sealed: bool) -> None:
    truth = everything(open_shards(whole))
    index = whole / "index.json"
    text = index.read_bytes()
    with Trials(whole) as trials:
        for number, generator in generators(3, some(700)):
            if not sealed and generator.random() < 0.4:
                data = damaged(text, generator, text)
            else:
                record = distorted(json.loads(text), generator)
                data = spelled(_sealed(record) if sealed else record, generator)
            with put(index, data):
                result = trials.run(number, lambda: _all_uses(whole))
            if not isinstance(result, ForesightError):
                assert result == truth, f"index {number} was read otherwise than it was written"
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["ShardError"] > some(400)


def _all_uses(folder: Path) -> Content:
    shard_set = open_shards(folder)
    assert isinstance(shard_set.manifest_digest[:12], str)
    assert (shard_set.samples, shard_set.size, len(shard_set.digest)) > (0, 0, 0)
    return everything(shard_set)


def _sealed(record: object) -> object:
    if not isinstance(record, dict):
        return record
    body = {key: value for key, value in record.items() if key != "sha256"}
    try:
        return {**body, "sha256": digest(body)}
    except (ValueError, RecursionError):
        return body


def test_the_watch_sees_what_is_written_outside(whole: Path) -> None:
    outside = whole.parent / "elsewhere"
    with Trials(whole) as trials, pytest.raises(AssertionError, match="changed what is outside"):
        trials.run(0, lambda: outside.write_text("x"))
    with pytest.raises(AssertionError):
        trials.assert_nothing_outside_changed()
    outside.unlink()
