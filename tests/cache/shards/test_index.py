"""The index of a set: it tells the truth, or the field in which it does not is named."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.records import digest
from foresight_cache.shards import (
    open_shards,
    read_shard,
)
from tests.support.shard_sets import refusal, write


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
        (lambda index: index["counts"].pop("shards"), "index.counts lacks the field 'shards'"),
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
