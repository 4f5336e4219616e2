"""The COCO reader against pycocotools, plain JSON and boxes worked out by hand."""

import contextlib
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.layouts.coco import Reader
from foresight_cache.errors import DatasetError

Document = dict[str, Any]


def small() -> Document:
    """Two images, one of them with a plain and a crowd object; category ids are sparse."""
    return {
        "images": [
            {"id": 42, "file_name": "COCO_val2014_000000000042.jpg", "width": 640, "height": 480},
            {"id": 7, "file_name": "plain.png", "width": 100, "height": 50},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 5, "image_id": 42, "category_id": 90, "bbox": [1.5, 2, 10, 20.25], "area": 99.5, "iscrowd": 0},
            {"id": 6, "image_id": 42, "category_id": 3, "bbox": [0, 0, 640, 480], "area": 7, "iscrowd": 1},
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a document as a folder in COCO format."""

    def write(document: Any, split: str = "val2014", images: str = "val2014") -> Path:
        (tmp_path / images).mkdir(parents=True, exist_ok=True)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(text)
        return tmp_path

    return write


def read(root: Path, split: str = "val2014") -> list[RawSample | BrokenSample]:
    return list(Reader("coco", root).samples(split))


def reasons(root: Path) -> dict[str, str]:
    return {record.id: record.reason for record in read(root) if isinstance(record, BrokenSample)}


def test_a_small_set_by_hand(folder: Callable[..., Path]) -> None:
    root = folder(small())
    first, second = read(root)
    assert isinstance(first, RawSample)
    assert isinstance(second, RawSample)
    assert first.path == root / "val2014" / "COCO_val2014_000000000042.jpg"
    assert first.sample.to_json() == {
        "schema": 1,
        "id": "coco/val2014/COCO_val2014_000000000042",
        "dataset": "coco",
        "split": "val2014",
        "group": "coco/val2014/COCO_val2014_000000000042",
        "media": "image",
        "file_name": "val2014/COCO_val2014_000000000042.jpg",
        "width": 640,
        "height": 480,
        "annotations": {
            "objects": [
                {
                    "box": [1.5, 2.0, 11.5, 22.25],
                    "category": "toothbrush",
                    "category_id": 90,
                    "crowd": False,
                    "area": 99.5,
                    "annotation_id": 5,
                },
                {
                    "box": [0.0, 0.0, 640.0, 480.0],
                    "category": "car",
                    "category_id": 3,
                    "crowd": True,
                    "area": 7.0,
                    "annotation_id": 6,
                },
            ]
        },
    }
    assert second.sample.id == "coco/val2014/plain"
    assert second.sample.annotations == {"objects": []}


def test_images_may_lie_under_images(folder: Callable[..., Path]) -> None:
    root = folder(small(), images="images/val2014")
    found = read(root)[0]
    assert isinstance(found, RawSample)
    assert found.path == root / "images" / "val2014" / "COCO_val2014_000000000042.jpg"
    assert found.sample.file_name == "images/val2014/COCO_val2014_000000000042.jpg"


def test_the_folder_of_images_may_be_a_link(
    folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    root = folder(small())
    (root / "val2014").rmdir()
    (root / "val2014").symlink_to(elsewhere)
    assert not reasons(root)


def test_splits_are_the_annotation_files(folder: Callable[..., Path]) -> None:
    folder(small(), split="val2014")
    root = folder(small(), split="train2014")
    (root / "annotations" / "captions_val2014.json").write_text("{}")
    assert Reader("coco", root).splits() == ("train2014", "val2014")


def test_the_real_sample_is_what_pycocotools_reads(assets: Path) -> None:
    root = assets / "data" / "coco"
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(root / "annotations" / "instances_val2017.json"))
    records = read(root, "val2017")
    assert len(records) == len(reference.imgs) == 4
    objects = 0
    for record in records:
        assert isinstance(record, RawSample)
        image_id = int(record.path.stem)
        image = reference.imgs[image_id]
        assert (record.sample.width, record.sample.height) == (image["width"], image["height"])
        for mine, theirs in zip(record.sample.annotations["objects"], reference.imgToAnns[image_id], strict=True):
            x, y, width, height = theirs["bbox"]
            assert mine["box"] == pytest.approx([x, y, x + width, y + height])
            assert mine["category"] == reference.cats[theirs["category_id"]]["name"]
            assert (mine["area"], mine["annotation_id"]) == (theirs["area"], theirs["id"])
            assert mine["crowd"] == bool(theirs["iscrowd"])
            objects += 1
    assert objects == 14


def test_outlines_never_fill_the_memory(folder: Callable[..., Path]) -> None:
    """They are most of a real file, and as Python objects several times as large as in it."""
    document = small()
    document["annotations"] += [
        {**document["annotations"][0], "id": number, "segmentation": [[number + 0.25] * 5000]}
        for number in range(100, 200)
    ]
    root = folder(document)
    size = (root / "annotations" / "instances_val2014.json").stat().st_size
    del document
    tracemalloc.start()
    try:
        assert len(read(root)) == 2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * size, "the bytes, their text, and little more"


@pytest.mark.parametrize(
    ("published", "box"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0]),  # as COCO's own training set has two: kept as it is
        ([599.5, 0, 41.4, 480.9], [599.5, 0, 640, 480]),  # rounded outwards by less than a pixel
        ([-0.5, -1, 10, 10], [0, 0, 9.5, 9]),
    ],
)
def test_boxes_at_the_border(folder: Callable[..., Path], published: list[float], box: list[float]) -> None:
    document = small()
    document["annotations"][0]["bbox"] = published
    found = read(folder(document))[0]
    assert isinstance(found, RawSample)
    assert found.sample.annotations["objects"][0]["box"] == pytest.approx(box)


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
        ({"id": None}, "an annotation has id None, expected an integer"),
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


def test_what_may_be_left_out(folder: Callable[..., Path]) -> None:
    document = small()
    del document["annotations"][0]["iscrowd"], document["annotations"][0]["area"]
    found = read(folder(document))[0]
    assert isinstance(found, RawSample)
    assert found.sample.annotations["objects"][0]["area"] == 10 * 20.25
    assert found.sample.annotations["objects"][0]["crowd"] is False


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
            {"width": 0},
            "COCO_val2014_000000000042",
            "the entry under 'images' has width 0, expected a positive integer",
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


def test_a_link_inside_the_folder_is_followed(folder: Callable[..., Path]) -> None:
    root = folder(small())
    (root / "val2014" / "target.png").write_bytes(b"")
    (root / "val2014" / "plain.png").symlink_to("target.png")
    assert not reasons(root)


def test_annotations_of_images_that_are_not_listed_are_told(folder: Callable[..., Path]) -> None:
    document = small()
    document["annotations"] += [{"id": 70, "image_id": 99}, {"id": 71, "image_id": 99}, "nonsense"]
    assert reasons(folder(document)) == {
        "coco/val2014/image_id 99": "2 annotations are of an image_id 99 that is not listed under 'images'",
        "coco/val2014/image_id None": "1 annotations are of an image_id None that is not listed under 'images'",
    }


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
        (repeated(small(), "images"), "uses the same image id more than once: 42; which entry is meant cannot be told"),
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


LAYOUT = "expected ROOT/annotations/instances_<split>.json, and images in ROOT/<split> or ROOT/images/<split>"


def test_what_is_missing_is_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    def message(root: Path, split: str = "val2014") -> str:
        with pytest.raises(DatasetError) as caught:
            read(root, split)
        return str(caught.value)

    assert message(tmp_path / "no") == f"there is no folder {tmp_path}/no; {LAYOUT}"
    assert message(tmp_path) == (
        f"{tmp_path} is no folder in COCO format: there is no {tmp_path}/annotations/instances_*.json; {LAYOUT}"
    )
    root = folder(small())
    assert message(root, "val2017") == (
        f"{root} has no split 'val2017': there is no {root}/annotations/instances_val2017.json; splits there: val2014"
    )
    (root / "val2014").rmdir()
    assert message(root) == (
        f"the images of split 'val2014' are missing: there is no folder {root}/val2014 and no {root}/images/val2014"
    )
