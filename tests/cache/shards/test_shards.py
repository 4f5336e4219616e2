"""Tars and their index against `tarfile`, `hashlib` and the real webdataset reader."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import webdataset

from foresight_cache.errors import ShardError
from foresight_cache.preparation.duplicates import media_digest
from foresight_cache.records import digest
from foresight_cache.samples import Sample
from foresight_cache.shards import (
    Packed,
    Quarantined,
    ShardInfo,
    ShardSet,
    open_shards,
    read_shard,
    write_index,
    write_shard,
)
from foresight_cache.shards.members import are_whole, frames_of, labels_of, media_suffix
from foresight_cache.shards.tar_blocks import header


def sample(number: int, suffix: str = ".jpg") -> Packed:
    return (
        Sample(
            id=f"kitchen/train/{number:03d}",
            dataset="kitchen",
            split="train",
            group=f"kitchen/train/{number:03d}",
            media="image",
            file_name=f"train/{number:03d}{suffix}",
            width=10,
            height=20,
            annotations={"captions": ["Tasse à café"]},
        ),
        {media_suffix(f"a{suffix}"): f"media {number} \0\xff".encode("latin-1") * (number + 1)},
    )


def write(folder: Path, count: int = 5, samples_per_shard: int = 2) -> ShardSet:
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[ShardInfo] = []
    for start in range(0, count, samples_per_shard):
        batch = [sample(number) for number in range(start, min(start + samples_per_shard, count))]
        shards.append(write_shard(folder, len(shards), start, batch))
    shard_set = ShardSet(
        path=folder,
        dataset="kitchen",
        manifest={"name": "kitchen", "media": "image"},
        manifest_digest="ab" * 32,
        samples_per_shard=samples_per_shard,
        request={"limit": 7},
        source="cd" * 32,
        shards=tuple(shards),
        quarantined=(Quarantined(id="kitchen/train/bad", reason="the file is empty"),),
    )
    write_index(shard_set)
    return shard_set


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ShardError) as caught:
        act()
    return str(caught.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path / "s")
    opened = open_shards(tmp_path / "s")
    assert opened == written
    assert (opened.samples, len(opened.shards)) == (5, 3)
    everything = [pair for number in range(3) for pair in read_shard(opened, number)]
    assert everything == [sample(number) for number in range(5)]
    assert list(read_shard(opened, 2, verify=False)) == [sample(4)]


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


def test_webdataset_reads_the_tars(tmp_path: Path) -> None:
    write(tmp_path / "s")
    urls = [str(path) for path in sorted((tmp_path / "s").glob("*.tar"))]
    found = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [each["__key__"] for each in found] == [f"{slot:09d}" for slot in range(5)]
    assert [each["jpg"] for each in found] == [sample(number)[1]["jpg"] for number in range(5)]
    assert [json.loads(each["json"])["id"] for each in found] == [sample(number)[0].id for number in range(5)]


def test_the_index_tells_the_truth(tmp_path: Path) -> None:
    write(tmp_path / "s")
    index = json.loads((tmp_path / "s" / "index.json").read_text())
    for shard in index["shards"]:
        data = (tmp_path / "s" / shard["name"]).read_bytes()
        assert shard["bytes"] == len(data)
        assert shard["sha256"] == hashlib.sha256(data).hexdigest()
    assert index["shards"][1]["ids"] == ["kitchen/train/002", "kitchen/train/003"]
    assert index["counts"] == {
        "samples": 5,
        "shards": 3,
        "bytes": sum(shard["bytes"] for shard in index["shards"]),
        "quarantined": 1,
    }
    assert index["quarantined"] == [{"id": "kitchen/train/bad", "reason": "the file is empty"}]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["index.json"] + [
        shard["name"] for shard in index["shards"]
    ]


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert first.digest == second.digest
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert write(tmp_path / "c", count=4).digest != first.digest


@pytest.mark.parametrize(
    ("suffix", "member"), [(".JPEG", "jpeg"), ("", "media"), (".json", "media"), (".t%r", "media"), (".tar.gz", "gz")]
)
def test_any_file_name_has_a_member(tmp_path: Path, suffix: str, member: str) -> None:
    info = write_shard(tmp_path, 0, 0, [sample(0, suffix)])
    with tarfile.open(tmp_path / info.name) as tar:
        assert sorted(tar.getnames()) == sorted([f"000000000.{member}", "000000000.json"])


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    broken: Any = (sample(0)[0], {"jpg": "text where bytes belong and é"})
    unwritable: Any = (replace(sample(1)[0], annotations={"x": float("nan")}), {"jpg": b""})
    for batch in ([sample(0), unwritable], [broken, (sample(1)[0], {"jpg": object()})]):
        with pytest.raises((ValueError, TypeError)):
            write_shard(tmp_path, 0, 0, batch)
        assert not list(tmp_path.iterdir())


def test_places_that_hold_no_shards(tmp_path: Path) -> None:
    missing = tmp_path / "no"
    assert refusal(lambda: open_shards(missing)) == (
        f"there are no shards at {missing}; make them with 'foresight prepare DATASET --out {missing}'"
    )
    assert refusal(lambda: open_shards(tmp_path)) == (
        f"{tmp_path} holds no prepared shards: it has no index.json; expected a folder made by 'foresight prepare'"
    )
    write(tmp_path)
    (tmp_path / "index.json").unlink()
    assert refusal(lambda: open_shards(str(tmp_path))) == (
        f"{tmp_path} is not finished: it has no index.json yet; run the same 'foresight prepare' again"
    )
    file = tmp_path / "file"
    file.write_text("x")
    assert refusal(lambda: open_shards(file)).startswith(f"{file} holds no prepared shards")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON (Expecting property name"),
        ("[]", "is not an index of shards; expected a folder made by 'foresight prepare'"),
        ('{"shards": 1}', "is not an index of shards; expected a folder made by 'foresight prepare'"),
        ('{"format": 2, "shards": []}', "has format version 2, this program reads 1; prepare the dataset again"),
        ('{"format": 1, "shards": [NaN]}', "was changed after it was written: its own digest does not match; prepare"),
    ],
)
def test_an_index_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "index.json").write_text(text)
    assert refusal(lambda: open_shards(tmp_path)).startswith(f"{tmp_path}/index.json {message}")


def forge(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the index and make its digest fit, as only intent does."""
    index = json.loads((folder / "index.json").read_text())
    del index["sha256"]
    change(index)
    (folder / "index.json").write_text(json.dumps({**index, "sha256": digest(index)}))


def test_a_changed_index_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace("kitchen/train/003", "kitchen/train/033"))
    assert refusal(lambda: open_shards(tmp_path)) == (
        f"{path} was changed after it was written: its own digest does not match; "
        "prepare the dataset again into a new folder"
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (
            lambda index: index["shards"][0].update(name="../shard-000000.tar"),
            "index.shards[0].name is '../shard-000000.tar', expected one of shard-000000.tar",
        ),
        (
            lambda index: index["shards"].reverse(),
            "index.shards[0].name is 'shard-000002.tar', expected one of shard-000000.tar",
        ),
        (lambda index: index["shards"][1]["ids"].pop(), "index.shards[1].ids has 1 samples, expected 2"),
        (
            lambda index: index["shards"][2]["ids"].append(index["shards"][1]["ids"].pop()),
            "index.shards[1].ids has 1 samples, expected 2",
        ),
        (lambda index: index["shards"][2]["ids"].clear(), "index.shards[2].ids has 0 samples, expected 1 to 2"),
        (
            lambda index: index["shards"][1].update(ids=["kitchen/train/000", "kitchen/train/001"]),
            "index.shards[1].ids has a sample twice, or one that an earlier shard has",
        ),
        (
            lambda index: index["shards"][1].update(ids=["kitchen/train/002"] * 2),
            "index.shards[1].ids has a sample twice, or one that an earlier shard has",
        ),
        (
            lambda index: index["shards"][1].update(ids=[1, 2]),
            "index.shards[1].ids is [1, 2], expected texts alone",
        ),
        (
            lambda index: index["shards"][0].pop("sha256"),
            "index.shards[0].sha256 is None, expected a SHA-256 in hexadecimal",
        ),
        (
            lambda index: index["shards"][0].update(bytes=-1),
            "index.shards[0].bytes is -1, expected an integer from 0 to 9007199254740992",
        ),
        (lambda index: index.update(request=[7]), "index.request is [7], expected an object"),
        (
            lambda index: index["request"].update(limit=None),
            "index.request.limit is None, expected a text, an integer or a list",
        ),
        (
            lambda index: index["counts"].update(samples=6),
            "index.counts.samples is 6, expected 5, as the rest of the index has",
        ),
        (
            lambda index: index["counts"].update(bytes=1),
            "index.counts.bytes is 1, expected 30720, as the rest of the index has",
        ),
        (lambda index: index["counts"].pop("shards"), "index.counts lacks or should not have 'shards'"),
        (
            lambda index: index.update(samples_per_shard="2"),
            "index.samples_per_shard is '2', expected an integer from 1 to 9007199254740992",
        ),
        (lambda index: index.update(shards=[]), "index.shards is [], expected one shard or more"),
        (lambda index: index.update(shards=7), "index.shards is 7, expected a list"),
        (lambda index: index.update(shards=[7]), "index.shards[0] is 7, expected an object"),
        (
            lambda index: index.update(quarantined=[{"id": 1, "reason": 2}]),
            "index.quarantined[0].id is 1, expected a text",
        ),
        (lambda index: index.pop("manifest"), "index.manifest is None, expected an object"),
        (
            lambda index: index["manifest"].update(media="sound"),
            "index.manifest.media is 'sound', expected one of image, clip",
        ),
        (
            lambda index: index.pop("source_sha256"),
            "index.source_sha256 is None, expected a SHA-256 in hexadecimal",
        ),
        (lambda index: index.update(dataset=None), "index.dataset is None, expected a text"),
    ],
)
def test_a_forged_index_is_refused_and_the_field_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], field: str
) -> None:
    write(tmp_path)
    forge(tmp_path, dict)
    open_shards(tmp_path)  # the forging itself is not what is refused
    forge(tmp_path, change)
    assert refusal(lambda: open_shards(tmp_path)) == (
        f"{tmp_path}/index.json contradicts itself: {field}; prepare the dataset again into a new folder"
    )


def test_a_missing_or_cut_tar_is_told_at_once(tmp_path: Path) -> None:
    shard_set = write(tmp_path)
    path = tmp_path / "shard-000001.tar"
    data = path.read_bytes()
    path.write_bytes(data[:-10240])
    expected = f"{path} has {len(data) - 10240} bytes, {len(data)} were prepared; prepare the dataset again into a new "
    assert refusal(lambda: open_shards(tmp_path)).startswith(expected)
    assert refusal(lambda: next(read_shard(shard_set, 1))).startswith(expected)
    path.unlink()
    assert refusal(lambda: open_shards(tmp_path)).startswith(f"{path} is missing; prepare the dataset again")


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
        ([("../../outside.jpg", b"x"), *SOUND], " holds '../../outside.jpg', which is no member of a prepared shard"),
        (
            [("/000000000.jpg", b"x"), *SOUND],
            " holds '/000000000.jpg', which is no member of a prepared shard; prepare",
        ),
        ([SOUND[0], *SOUND[2:]], ": 000000000 has members 'jpg', expected its media and 'json'; prepare"),
        ([("000000000.png", b""), *SOUND], ": 000000000 has members 'jpg', 'json', 'png', expected its media"),
        ([SOUND[0], ("000000000.json", b"{"), *SOUND[2:]], ": 000000000.json is no sample: Expecting property name"),
        ([SOUND[0], ("000000000.json", b"{}"), *SOUND[2:]], ": 000000000.json is no sample: sample record has schema"),
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
    assert "holds '000000000.jpg', which is no member of a prepared shard" in refusal(
        lambda: list(read_shard(shard_set, 0))
    )


def test_a_size_that_the_tar_cannot_have_is_not_allocated(tmp_path: Path) -> None:
    data = bytearray(tar_of(SOUND))
    header = tarfile.TarInfo("000000000.jpg")
    header.size = 1 << 32
    data[:512] = header.tobuf(tarfile.USTAR_FORMAT)
    shard_set = plant(tmp_path, bytes(data))
    assert "which is no member of a prepared shard" in refusal(lambda: list(read_shard(shard_set, 0)))


@pytest.mark.parametrize("kept", [100, 512, 700, 1500])
def test_a_cut_tar_of_which_the_index_approves(tmp_path: Path, kept: int) -> None:
    shard_set = plant(tmp_path, tar_of(SOUND)[:kept])
    assert "shard-000000.tar" in refusal(lambda: list(read_shard(shard_set, 0)))
    assert "shard-000000.tar" in refusal(lambda: list(read_shard(shard_set, 0, verify=False)))


def test_what_no_header_has_room_for_is_refused() -> None:
    for name, size in (("x" * 100, 1), ("a", 8**11), ("", 1)):
        with pytest.raises(ValueError, match=r"does not fit a tar's header|overflow"):
            header(name, size)


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
