"""COCO files with something wrong: which samples break, and which files are refused as a whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.layouts.coco import Reader
from foresight_cache.errors import DatasetError
from tests.support.coco_sets import Document, read, reasons, small


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"bbox": [600, 0, 42, 10]},
            "annotation 5 has bbox [600, 0, 42, 10], which lies outside its image of 640×480 pixels",
        ),
        (
            {"bbox": [0, -2, 5, 5]},
            "annotation 5 has bbox [0, -2, 5, 5], which lies outside its image of 640×480 pixels",
        ),
        ({"bbox": [9, 9, -3, 5]}, "annotation 5 has bbox [9, 9, -3, 5], whose width or height is negative"),
        ({"bbox": [1, 2, 3]}, "annotation 5 has bbox [1, 2, 3], expected four numbers [x, y, width, height]"),
        ({"bbox": None}, "annotation 5 has bbox None, expected four numbers [x, y, width, height]"),
        ({"bbox": [1, 2, float("nan"), 4]}, "annotation 5 has bbox [1, 2, nan, 4], expected four numbers"),
        ({"bbox": [1, 2, 10**400, 4]}, "annotation 5 has bbox [1, 2, 1000"),
        ({"bbox": [True, 2, 3, 4]}, "annotation 5 has bbox [True, 2, 3, 4], expected four numbers"),
        ({"category_id": 1}, "annotation 5 has category_id 1, which is not under 'categories'"),
        ({"category_id": [1]}, "annotation 5 has category_id [1], which is not under 'categories'"),
        ({"iscrowd": 2}, "annotation 5 has iscrowd 2, expected 0 or 1"),
        ({"area": -1}, "annotation 5 has area -1, expected a number of pixels"),
        ({"area": "big"}, "annotation 5 has area 'big', expected a number of pixels"),
        ({"id": None}, "an annotation has id None, expected an integer or a text"),
    ],
)
def test_a_broken_annotation_breaks_its_sample_alone(
    folder: Callable[..., Path], change: dict[str, Any], reason: str
) -> None:
    document = small()
    document["annotations"][0].update(change)
    broken, sound = read(folder(document))
    assert isinstance(broken, BrokenSample)
    assert broken.id == "coco/val2014/COCO_val2014_000000000042"
    assert broken.reason.startswith(reason)
    assert len(broken.reason) < 250
    assert isinstance(sound, RawSample)


@pytest.mark.parametrize(
    ("change", "sample_id", "reason"),
    [
        ({"file_name": "../outside.jpg"}, "../outside", "file_name '../outside.jpg' leaves the folder of the images"),
        ({"file_name": "/etc/passwd.jpg"}, "", "file_name '/etc/passwd.jpg' leaves the folder of the images"),
        ({"file_name": "link.jpg"}, "link", "file_name 'link.jpg' is a link out of the folder of the images"),
        ({"file_name": None}, "images[0]", "the entry under 'images' has file_name None, expected the name of a file"),
        ({"file_name": "\ud800.jpg"}, "images[0]", "the entry under 'images' has file_name '\\ud800.jpg', expected"),
        ({"file_name": "a\0.jpg"}, "a\0", "the entry under 'images' has file_name 'a\\x00.jpg', expected"),
        ({"file_name": ""}, "images[0]", "the entry under 'images' has file_name '', expected the name of a file"),
        (
            {"width": -640},
            "COCO_val2014_000000000042",
            "the entry under 'images' has width -640, expected a positive integer",
        ),
        ({"height": "4"}, "COCO_val2014_000000000042", "the entry under 'images' has height '4', expected a positive"),
    ],
)
def test_a_broken_image_entry_is_named(
    folder: Callable[..., Path], change: dict[str, Any], sample_id: str, reason: str
) -> None:
    document = small()
    document["images"][0].update(change)
    root = folder(document)
    (root / "outside.jpg").write_bytes(b"secret")
    (root / "val2014" / "link.jpg").symlink_to(root / "outside.jpg")
    record = read(root)[0]
    assert isinstance(record, BrokenSample)
    assert sample_id in record.id
    assert record.reason.startswith(reason)


def test_annotations_of_images_that_are_not_listed_are_told(folder: Callable[..., Path]) -> None:
    """A part of a set lists fewer images than it has annotations of, and takes nothing from these by it."""
    document = small()
    document["annotations"] += [{"id": 70, "image_id": 99}, {"id": 71, "image_id": 99}, "nonsense"]
    reader = Reader("coco", folder(document))
    assert all(isinstance(listed, RawSample) for listed in reader.samples("val2014"))
    assert reader.remarks() == (
        "instances_val2014.json: 3 annotations are of images that it does not list, such as 99, None",
    )


@pytest.mark.parametrize(("change", "told"), [(lambda image: image + 900, "942"), (lambda image: f"#{image}", "'#42'")])
def test_annotations_that_leave_the_images_empty_are_refused(
    folder: Callable[..., Path], change: Callable[[int], Any], told: str
) -> None:
    document = small()
    for entry in document["annotations"]:
        entry["image_id"] = change(entry["image_id"])
    with pytest.raises(DatasetError) as caught:
        read(folder(document))
    assert str(caught.value).endswith(
        f"instances_val2014.json: 2 annotations are of an image_id that is not listed under 'images', such as {told}, "
        "and 2 of 2 images have none, which would be taken for empty; correct the ids"
    )


def test_an_entry_without_an_id_is_told(folder: Callable[..., Path]) -> None:
    document = small()
    document["images"] += [{"file_name": "a.jpg", "width": 1, "height": 1}, "nonsense"]
    assert reasons(folder(document)) == {
        "coco/val2014/a": "the entry under 'images' has no integer or text under 'id'",
        "coco/val2014/images[3]": "the entry under 'images' has no integer or text under 'id'",
    }


def repeated(document: Document, part: str) -> Document:
    document[part].append({**document[part][0], "file_name": "other.jpg"})
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (repeated(small(), "images"), "uses the same image id more than once: 42; which entry is meant is unknown"),
        (repeated(small(), "annotations"), "uses the same annotation id more than once: 5; which entry is meant"),
        (repeated(small(), "categories"), "uses the same category id more than once: 90; which entry is meant"),
        ("{", "is not JSON: Expecting property name"),
        ("[" * 100_000, "is not JSON: maximum recursion"),
        ("[]", "is not a COCO instances file: expected a list under 'images'"),
        ({**small(), "categories": {}}, "is not a COCO instances file: expected a list under 'categories'"),
        ({**small(), "categories": [{"id": "1"}]}, "has a category {'id': '1'}; expected an integer 'id' and a text"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(folder: Callable[..., Path], document: Any, message: str) -> None:
    root = folder(document)
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert str(caught.value).startswith(f"{root}/annotations/instances_val2014.json {message}")


def test_two_files_that_would_be_one_sample(folder: Callable[..., Path]) -> None:
    document = small()
    document["images"][1]["file_name"] = "COCO_val2014_000000000042.png"
    with pytest.raises(
        DatasetError, match="several files for one sample: coco/val2014/COCO_val2014_000000000042; file"
    ):
        read(folder(document))


LAYOUT = (
    "expected ROOT/annotations/instances_<split>.json, and images in ROOT/<split>, ROOT/images/<split> or ROOT/images; "
    "or a folder as Roboflow, FiftyOne, Label Studio or labelme write it"
)


def test_what_is_missing_is_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    def message(root: Path, split: str = "val2014") -> str:
        with pytest.raises(DatasetError) as caught:
            read(root, split)
        return str(caught.value)

    assert message(tmp_path / "no") == f"there is no folder {tmp_path}/no; {LAYOUT}"
    assert message(tmp_path) == (
        f"{tmp_path} is not a folder in COCO format: there is no {tmp_path}/annotations/instances_*.json; {LAYOUT}"
    )
    root = folder(small())
    assert message(root, "val2017") == (
        f"{root} has no split 'val2017': there is no {root}/annotations/instances_val2017.json; splits there: val2014"
    )
    (root / "val2014").rmdir()
    assert message(root) == (
        f"the images of split 'val2014' are missing: there is no folder {root}/val2014 and no {root}/images/val2014"
    )
