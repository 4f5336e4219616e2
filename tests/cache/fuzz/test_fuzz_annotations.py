"""Distorted COCO files: a refusal of the whole, a quarantined sample, or the annotations as they are published."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.layouts.coco import Reader
from foresight_cache.errors import ForesightError
from foresight_cache.records import canonical_json
from foresight_cache.shards import ShardSet, open_shards, read_shard
from tests.support.mutations import damaged, distorted, spelled, substitutions
from tests.support.preparing import prepare
from tests.support.trial import Trials, generators, put, some

SIDES = [(12, 9), (8, 8), (16, 10)]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Three pictures with four objects, in a folder with a tree around it."""
    root = tmp_path / "work" / "place" / "raw"
    (root / "train").mkdir(parents=True)
    (root / "annotations").mkdir()
    for number, side in enumerate(SIDES):
        Image.new("RGB", side, (number, 99, 7)).save(root / "train" / f"{number}.png")
    boxes = [(0, [0, 0, 5.5, 4]), (1, [1, 1, 2, 2]), (1, [3.25, 3, 4, 4]), (2, [0, 0, 16, 10])]
    document = {
        "info": {"year": 2017},
        "images": [
            {"id": number, "file_name": f"{number}.png", "width": wide, "height": high}
            for number, (wide, high) in enumerate(SIDES)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": 1 + number % 2,
                "bbox": box,
                "area": 3.5,
                "iscrowd": 0,
                "segmentation": [[0, 0, 1, 1, 2, 2]],
            }
            for number, (image, box) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}],
    }
    (root / "annotations" / "instances_train.json").write_text(json.dumps(document))
    return root


def hostile(text: bytes, generator: random.Random) -> bytes:
    if generator.random() < 0.3:
        return damaged(text, generator, text)
    return spelled(distorted(json.loads(text), generator), generator)


def plain(value: Any) -> Any:
    """Returns an id as a number where it is one in any spelling; what is no id is equal to nothing."""
    if type(value) not in (int, float, str) or (isinstance(value, float) and value % 1 != 0):
        return object()
    if isinstance(value, str):
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdecimal() and len(digits) <= 18 else value
    return int(value)


def is_placeholder(entry: dict[str, Any]) -> bool:
    """Returns whether an entry says that there is no object, with nothing in any of its fields."""
    return entry.get("bbox") == [] and not entry.get("area") and entry.get("segmentation") in (None, [], [[]])


def assert_published(record: RawSample | BrokenSample, document: dict[str, Any]) -> None:
    """A sample that is taken says what the file says, by an independent look into the file."""
    if isinstance(record, BrokenSample):
        assert record.reason
        canonical_json([record.id, record.reason])
        return
    sample = record.sample
    entries = [image for image in document["images"] if isinstance(image, dict)]
    image = next(each for each in entries if f"train/{each.get('file_name')}" == sample.file_name)
    if image.get("width") and image.get("height"):  # else it is the media's
        assert (sample.width, sample.height) == (image["width"], image["height"])
    listed = [each for each in document["annotations"] if isinstance(each, dict)]
    mine = [each for each in listed if plain(each.get("image_id")) == plain(image["id"]) and not is_placeholder(each)]
    objects = sample.annotations["objects"]
    assert [each["annotation_id"] for each in objects] == [plain(each["id"]) for each in mine]
    names = {plain(each["id"]): each["name"] for each in document["categories"]}
    for read, published in zip(objects, mine, strict=True):
        assert read["category"] == names[plain(published["category_id"])]
        if published.get("bbox"):  # else it is that of the outline
            x, y, width, height = published["bbox"]
            assert read["box"] == pytest.approx([x, y, x + width, y + height], abs=1.0)
        assert 0 <= read["box"][0] <= read["box"][2] <= sample.width
        assert 0 <= read["box"][1] <= read["box"][3] <= sample.height


def test_distorted_annotations_through_the_reader(raw: Path) -> None:
    path = raw / "annotations" / "instances_train.json"
    text = path.read_bytes()
    document = json.loads(text)
    few = {key: document[key][:1] for key in ("images", "annotations", "categories")}
    del few["annotations"][0]["segmentation"]
    texts = [(number, hostile(text, generator)) for number, generator in generators(4, some(1300))]
    texts += [(label, spelled(each, random.Random(label))) for label, each in substitutions(few)]  # noqa: S311
    with Trials(raw) as trials:
        for label, data in texts:
            with put(path, data):
                result = trials.run(label, lambda: list(Reader("made", raw).samples("train")))
            if not isinstance(result, ForesightError):
                for record in result:
                    assert_published(record, json.loads(data))
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["DatasetError"] > some(200)
    assert trials.outcomes["accepted"] > some(200)


def test_distorted_annotations_through_preparation(raw: Path) -> None:
    path = raw / "annotations" / "instances_train.json"
    text = path.read_bytes()
    place = raw.parent
    media = {f"train/{path.name}": path.read_bytes() for path in (raw / "train").iterdir()}

    def prepared(out: Path) -> ShardSet:
        return prepare("coco", root=raw, out=out, split="train", max_bad=1.0).shards

    prepared(place / "whole")  # imports what it needs before memory is bounded, and must not fail
    with Trials(place) as trials:
        for number, generator in generators(5, some(500)):
            out = place / f"out{number}"
            with put(path, hostile(text, generator)):
                result = trials.run(number, lambda out=out: prepared(out))
            if isinstance(result, ForesightError):
                assert not out.exists(), f"{number} left something behind"
                continue
            assert open_shards(out) == result
            for sample, members in read_shard(result, 0):
                assert members["png"] == media[sample.file_name], "the bytes of another file"
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["DatasetError"] > some(50)
    assert trials.outcomes["accepted"] > some(50)
