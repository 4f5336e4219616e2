"""Facts that several COCO files say: joined where they agree, refused with both sides where they do not."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.datasets import RawSample
from foresight_cache.datasets.layouts.coco import Reader
from foresight_cache.datasets.parts.coco_categories import peek_categories
from foresight_cache.errors import DatasetError

CAR, PERSON = {"id": 1, "name": "car"}, {"id": 2, "name": "person"}
IMAGES = [{"id": number, "file_name": f"{number}.jpg", "width": 96, "height": 72} for number in (1, 2)]
OBJECTS = [
    {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 40, 20]},
    {"id": 2, "image_id": 1, "category_id": 2, "bbox": [60, 30, 20, 40]},
    {"id": 3, "image_id": 2, "category_id": 2, "bbox": [10, 10, 20, 40]},
]
POINTS = [65, 35, 2, 75, 60, 2]
OF_PERSON = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [60, 30, 20, 40], "keypoints": POINTS}

Write = Callable[..., Reader]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a set of two images with three objects; each file's entries, or its whole document, may be another."""

    def written(*, split: str = "val", **files: Any) -> Reader:
        (tmp_path / split).mkdir()
        (tmp_path / "annotations").mkdir(exist_ok=True)
        for kind, document in {"instances": OBJECTS, **files}.items():
            whole = {"images": IMAGES, "categories": [CAR, PERSON]}
            whole |= document if isinstance(document, dict) else {"annotations": document}
            (tmp_path / "annotations" / f"{kind}_{split}.json").write_text(json.dumps(whole))
        return Reader("coco", tmp_path)

    return written


def kinds(reader: Reader, kind: str) -> list[Any]:
    """Returns the annotations of a kind of each sample."""
    records = list(reader.samples("val"))
    assert all(isinstance(record, RawSample) for record in records), records
    return [record.sample.annotations.get(kind) for record in records if isinstance(record, RawSample)]


def keypoints(reader: Reader) -> dict[int, Any]:
    """Returns the keypoints by the number of their annotation."""
    return {
        entry["annotation_id"]: entry["keypoints"]
        for objects in kinds(reader, "objects")
        for entry in objects
        if "keypoints" in entry
    }


def refusal(reader: Reader) -> str:
    with pytest.raises(DatasetError) as caught:
        for split in reader.splits():
            list(reader.samples(split))
    return str(caught.value)


@pytest.mark.parametrize(
    ("entry", "owner"),
    [
        (OF_PERSON, 2),
        ({**OF_PERSON, "id": 900}, 2),
        ({**OF_PERSON, "id": 2}, 2),
        ({**OF_PERSON, "id": "2", "image_id": "1"}, 2),
        ({**OF_PERSON, "id": 2, "bbox": [60.2, 30, 20, 39.8]}, 2),
        ({"id": 2, "image_id": 1, "keypoints": POINTS}, 2),
        ({"id": 1, "image_id": 2, "category_id": 2, "bbox": [10, 10, 20, 40], "keypoints": POINTS}, 3),
    ],
    ids=["another's number", "no one's number", "its number", "text", "rounded", "number alone", "another image"],
)
def test_keypoints_go_to_the_object_that_they_are_of(write: Write, entry: dict[str, Any], owner: int) -> None:
    assert keypoints(write(person_keypoints=[entry])) == {owner: POINTS}


@pytest.mark.parametrize(
    "entry",
    [{**OF_PERSON, "bbox": [1, 1, 9, 9]}, {**OF_PERSON, "category_id": 1}, {**OF_PERSON, "id": 7, "bbox": None}],
    ids=["another box", "another category", "neither number nor box"],
)
def test_keypoints_of_no_object_are_refused(write: Write, entry: dict[str, Any]) -> None:
    sound = {"id": 3, "image_id": 2, "keypoints": POINTS}
    number = entry["id"]
    assert refusal(write(person_keypoints=[sound, entry])).endswith(
        "person_keypoints_val.json has keypoints of 2 objects, 1 of which are no annotation of their image by number, "
        f"category and box, such as id {number} of image 1; give both files the same ids, or take the file away"
    )


def test_keypoints_may_stand_with_the_object(write: Write) -> None:
    own = [{**OBJECTS[0], "keypoints": [], "num_keypoints": 0}, {**OBJECTS[1], "keypoints": POINTS}, OBJECTS[2]]
    assert keypoints(write(instances=own)) == {2: POINTS}


def test_keypoints_of_two_files_must_be_the_same(write: Write) -> None:
    own = [OBJECTS[0], {**OBJECTS[1], "keypoints": [1, 2, 2]}, OBJECTS[2]]
    assert refusal(write(instances=own, person_keypoints=[OF_PERSON])).endswith(
        "has keypoints [65, 35, 2, 75, 60, 2] of annotation 2, which itself has [1, 2, 2]; take one of them away"
    )


@pytest.mark.parametrize("change", [str, float, lambda number: f"{number:012d}"], ids=["text", "float", "zeros"])
def test_ids_that_are_written_in_another_way_are_joined(write: Write, change: Callable[[int], Any]) -> None:
    objects = [{**entry, "image_id": change(entry["image_id"])} for entry in OBJECTS]
    captions = [{"id": 1, "image_id": change(2), "caption": "A person."}]
    reader = write(instances=objects, captions=captions)
    assert [len(objects) for objects in kinds(reader, "objects")] == [2, 1]
    assert kinds(reader, "captions") == [[], ["A person."]]


def test_text_and_number_are_two_ids_where_both_are_listed(write: Write) -> None:
    images = [*IMAGES, {**IMAGES[0], "id": "1", "file_name": "text.jpg"}]
    objects = [*OBJECTS, {**OBJECTS[0], "id": 4, "image_id": "1"}]
    objects += [{**OBJECTS[0], "id": 5, "image_id": "01"}]  # which of the two is meant is unknown
    reader = write(instances={"images": images, "annotations": objects})
    assert [len(objects) for objects in kinds(reader, "objects")] == [2, 1, 1]
    assert reader.remarks() == ("instances_val.json: 1 annotations are of images that it does not list, such as '01'",)


def test_ids_and_categories_may_be_text(write: Write) -> None:
    objects = [{**OBJECTS[0], "id": "3f2a-b", "category_id": "1"}, {**OBJECTS[2], "id": "0017"}]
    reader = write(instances={"annotations": objects, "categories": [{**CAR, "id": "1"}, PERSON]})
    found = [entry for entries in kinds(reader, "objects") for entry in entries]
    assert [(entry["annotation_id"], entry["category"]) for entry in found] == [("3f2a-b", "car"), (17, "person")]


@pytest.mark.parametrize(
    ("kind", "entry", "told"),
    [
        ("captions", {"id": 1, "image_id": 77, "caption": "A car."}, "captions of none of the 2 images listed, but of"),
        ("person_keypoints", {**OF_PERSON, "image_id": "x"}, "keypoints of none of the 2 images listed, but of"),
    ],
)
def test_a_file_of_other_images_is_not_taken_for_an_empty_one(
    write: Write, kind: str, entry: dict[str, Any], told: str
) -> None:
    assert f"{kind}_val.json has {told}" in refusal(write(**{kind: [entry]}))


def test_captions_may_stand_with_the_objects(write: Write) -> None:
    reader = write(instances=[*OBJECTS, {"id": 1, "image_id": 1, "caption": "A car."}], captions=[
        {"id": 1, "image_id": 1, "caption": "A car."}, {"id": 2, "image_id": 2, "caption": "A person."}
    ])  # fmt: skip
    assert kinds(reader, "captions") == [["A car."], ["A person."]]
    assert [len(objects) for objects in kinds(reader, "objects")] == [2, 1]


@pytest.mark.parametrize(
    ("categories", "told"),
    [
        ([{"id": 1, "name": "dog"}, PERSON], "category 1 is 'car' in {0} and 'dog' in {1}; number the categories"),
        ([{"id": 4, "name": "car"}, PERSON], "category 'car' is 1 in {0} and 4 in {1}; number the categories"),
    ],
)
class TestCategories:
    """One number is one category, in all splits and files."""

    def test_of_splits(self, write: Write, categories: list[Any], told: str) -> None:
        write(split="train")
        objects = [OBJECTS[1]]
        reader = write(split="val", instances={"annotations": objects, "categories": categories})
        folder = reader._root / "annotations"
        both = folder / "instances_train.json", folder / "instances_val.json"
        assert refusal(reader).startswith(told.format(*both))

    def test_of_a_split_that_is_not_asked_for(self, write: Write, categories: list[Any], told: str) -> None:
        write(split="train", instances={"annotations": OBJECTS, "categories": [CAR, PERSON]})
        objects = [{**OBJECTS[0], "category_id": categories[0]["id"]}]
        reader = write(split="val", instances={"annotations": objects, "categories": categories})
        with pytest.raises(DatasetError, match=re.escape(told.format("", "").split(" in ")[0])):
            list(reader.samples("val"))

    def test_of_keypoints(self, write: Write, categories: list[Any], told: str) -> None:
        reader = write(person_keypoints={"annotations": [OF_PERSON], "categories": categories})
        folder = reader._root / "annotations"
        both = folder / "instances_val.json", folder / "person_keypoints_val.json"
        assert refusal(reader).startswith(told.format(*both))


def test_splits_may_have_different_categories(write: Write) -> None:
    write(split="train", instances={"annotations": OBJECTS[:1], "categories": [CAR]})
    reader = write(split="val", instances={"annotations": OBJECTS[1:], "categories": [PERSON]})
    assert [len(list(reader.samples(split))) for split in reader.splits()] == [2, 2]


@pytest.mark.parametrize(
    "text",
    [
        '{"categories" : [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}], "images": []}',
        '{"annotations": [{"categories": ["x"], "note": "\\"categories\\": [1]"}], "categories":\n[{"id": 1, '
        '"name": "car"}, {"id": 2, "name": "person"}]}',
        '{"categories": [{"id": 1, "name": "car", "note": "' + "é" * 700_000 + '"}, {"id": 2, "name": "person"}]}',
    ],
    ids=["first", "after others of the name", "longer than what is read at once"],
)
def test_categories_are_found_without_reading_the_rest(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances.json").write_text(text, encoding="utf-8")
    assert peek_categories(tmp_path / "instances.json") == {1: "car", 2: "person"}


@pytest.mark.parametrize("text", ["", "{}", '{"categories": [{"id": 1,', "no JSON"])
def test_a_file_without_categories_contradicts_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances.json").write_text(text)
    assert peek_categories(tmp_path / "instances.json") == {}
