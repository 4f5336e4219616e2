"""The COCO reader against pycocotools, plain JSON and boxes worked out by hand."""

import contextlib
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from foresight_cache.datasets import RawSample
from foresight_cache.datasets.layouts.coco import Reader
from tests.support.coco_sets import read, reasons, small


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
    raw = read(root)[0]
    assert isinstance(raw, RawSample)
    assert raw.path == root / "images" / "val2014" / "COCO_val2014_000000000042.jpg"
    assert raw.sample.file_name == "images/val2014/COCO_val2014_000000000042.jpg"


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
        {**document["annotations"][1], "id": number, "segmentation": [[number + 0.25] * 5000]}
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
    raw = read(folder(document))[0]
    assert isinstance(raw, RawSample)
    assert raw.sample.annotations["objects"][0]["box"] == pytest.approx(box)


def test_what_may_be_left_out(folder: Callable[..., Path]) -> None:
    document = small()
    del document["annotations"][0]["iscrowd"], document["annotations"][0]["area"]
    raw = read(folder(document))[0]
    assert isinstance(raw, RawSample)
    assert raw.sample.annotations["objects"][0]["area"] == 10 * 20.25
    assert raw.sample.annotations["objects"][0]["crowd"] is False


def test_a_link_inside_the_folder_is_followed(folder: Callable[..., Path]) -> None:
    root = folder(small())
    (root / "val2014" / "target.png").write_bytes(b"")
    (root / "val2014" / "plain.png").symlink_to("target.png")
    assert not reasons(root)
