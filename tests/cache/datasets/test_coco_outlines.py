"""Outlines, keypoints and captions of COCO files against pycocotools' own reading of the same files."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask
from pycocotools.coco import COCO

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.layouts.coco import Reader

WIDTH, HEIGHT = 40, 30
SQUARE = [5, 5, 15, 5, 15.5, 20, 5, 20]
PIXELS = np.asfortranarray(np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.3)
COMPRESSED = {"size": [HEIGHT, WIDTH], "counts": mask.encode(PIXELS.astype(np.uint8))["counts"].decode()}
RUNS = np.diff(np.flatnonzero(np.diff(np.concatenate([[not PIXELS[0, 0]], PIXELS.ravel("F"), [not PIXELS[-1, -1]]]))))
UNCOMPRESSED = {"size": [HEIGHT, WIDTH], "counts": [*([0] if PIXELS[0, 0] else []), *map(int, RUNS)]}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes one image with one annotation of this outline, and further annotation files."""

    def written(outline: Any, **others: list[dict[str, Any]]) -> Path:
        (tmp_path / "val").mkdir()
        (tmp_path / "annotations").mkdir()
        image = {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}
        annotation = {"id": 3, "image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 30], "area": 9, "iscrowd": 0}
        if outline is not None:
            annotation["segmentation"] = outline
        categories = [{"id": 1, "name": "person"}]
        document = {"images": [image], "annotations": [annotation], "categories": categories}
        (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(document))
        for kind, entries in others.items():
            path = tmp_path / "annotations" / f"{kind}_val.json"
            path.write_text(json.dumps({"images": [image], "annotations": entries}))
        return tmp_path

    return written


def read(root: Path, split: str = "val") -> RawSample | BrokenSample:
    return next(iter(Reader("coco", root).samples(split)))


def sound(root: Path) -> dict[str, Any]:
    record = read(root)
    assert isinstance(record, RawSample), record
    return dict(record.sample.annotations)


def reference(root: Path, split: str = "val") -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(root / "annotations" / f"instances_{split}.json"))


@pytest.mark.parametrize(
    "outline",
    [[SQUARE], [SQUARE, [20.5, 2, 30, 3, 25, 28.25]], [[-3, 5, 45, 5, 20, 33]], COMPRESSED, UNCOMPRESSED],
    ids=["polygon", "two polygons", "a little outside", "compressed", "uncompressed"],
)
def test_outlines_are_the_pixels_of_pycocotools(write: Callable[..., Path], outline: Any) -> None:
    root = write(outline)
    (entry,) = sound(root)["objects"]
    theirs = reference(root)
    expected = theirs.annToMask(theirs.anns[3])
    assert 0 < expected.sum() < expected.size
    assert np.array_equal(mask.decode(entry["segmentation"]), expected)


@pytest.mark.parametrize("outline", [None, [], [[]]])
def test_an_outline_may_be_missing(write: Callable[..., Path], outline: Any) -> None:
    assert "segmentation" not in sound(write(outline))["objects"][0]


@pytest.mark.parametrize(
    ("outline", "reason"),
    [
        ([[1, 2, 3, 4, 5]], "annotation 3 has a polygon of 5 numbers, expected x and y of three or more points"),
        ([[10, 10, 30, 30]], "annotation 3 has a polygon of 4 numbers, expected x and y of three or more points"),
        ([[10, 10, 30, 30], SQUARE], "annotation 3 has a polygon of 4 numbers, expected x and y of three or more"),
        ([SQUARE, [10, 10, 30, 30]], "annotation 3 has a polygon of 4 numbers, expected x and y of three or more"),
        ([SQUARE, []], "annotation 3 has a polygon of 0 numbers"),
        (["abc"], "annotation 3 has a polygon of 'abc'"),
        ([[1, "2", 3, 4, 5, 6]], "annotation 3 has a polygon of 6 numbers"),
        ([[0, 0, 1e9, 0, 5, 5]], "annotation 3 has a polygon that lies outside its image of 40×30 pixels"),
        ([[0, 0, float("nan"), 0, 5, 5]], "annotation 3 has a polygon that lies outside its image"),
        ({**COMPRESSED, "size": [WIDTH, HEIGHT]}, "annotation 3 has a segmentation that is neither polygons nor the"),
        ({**COMPRESSED, "counts": "0" * 9}, "annotation 3 has a segmentation that is neither"),
        ({**COMPRESSED, "counts": "é"}, "annotation 3 has a segmentation that is neither"),
        ({**UNCOMPRESSED, "counts": [5, 7]}, "annotation 3 has a segmentation that is neither"),
        ({**UNCOMPRESSED, "counts": [-5, 1205]}, "annotation 3 has a segmentation that is neither"),
        ({**UNCOMPRESSED, "counts": None}, "annotation 3 has a segmentation that is neither"),
        (7, "annotation 3 has a segmentation that is neither"),
    ],
)
def test_a_broken_outline_breaks_its_sample(write: Callable[..., Path], outline: Any, reason: str) -> None:
    record = read(write(outline))
    assert isinstance(record, BrokenSample)
    assert record.reason.startswith(reason)


def test_what_pycocotools_refuses_is_told_with_the_annotation(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise TypeError("Argument 'bb' has incorrect type")

    monkeypatch.setattr(mask, "frPyObjects", refuse)
    record = read(write([SQUARE]))
    assert isinstance(record, BrokenSample)
    assert record.reason.startswith("annotation 3 has a segmentation that pycocotools cannot draw: Argument 'bb'")


def test_the_real_outlines_and_keypoints(assets: Path) -> None:
    root = assets / "data" / "coco"
    theirs = reference(root, "val2017")
    people = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())["annotations"]
    published = {each["id"]: each["keypoints"] for each in people if each["num_keypoints"]}
    seen = 0
    for record in Reader("coco", root).samples("val2017"):
        assert isinstance(record, RawSample)
        for entry in record.sample.annotations["objects"]:
            annotation = theirs.anns[entry["annotation_id"]]
            assert np.array_equal(mask.decode(entry["segmentation"]), theirs.annToMask(annotation))
            assert entry.get("keypoints") == published.get(entry["annotation_id"])
            seen += "keypoints" in entry
    assert seen == len(published) > 5


def test_captions(write: Callable[..., Path]) -> None:
    captions = [{"image_id": 1, "id": 1, "caption": " A cup.\n"}, {"image_id": 1, "id": 2, "caption": "Une tasse"}]
    stray = {"image_id": 99, "id": 3, "caption": "of an image that the set does not have"}
    assert sound(write(None, captions=[*captions, stray]))["captions"] == ["A cup.", "Une tasse"]


def test_an_image_without_captions_has_none(write: Callable[..., Path]) -> None:
    assert sound(write(None, captions=[]))["captions"] == []


@pytest.mark.parametrize("caption", [None, "", " ", 7, "\ud800"])
def test_a_caption_that_is_none(write: Callable[..., Path], caption: Any) -> None:
    record = read(write(None, captions=[{"image_id": 1, "id": 1, "caption": caption}]))
    assert isinstance(record, BrokenSample)
    assert record.reason.startswith("it has a caption ")


@pytest.mark.parametrize(
    ("keypoints", "reason"),
    [
        ([1, 2], "annotation 3 has keypoints [1, 2], expected three numbers for each"),
        ("abc", "annotation 3 has keypoints 'abc', expected three numbers for each"),
        ([1, 2, 5], "annotation 3 has keypoints [1, 2, 5], whose visibilities are not all 0, 1 or 2"),
    ],
)
def test_broken_keypoints(write: Callable[..., Path], keypoints: Any, reason: str) -> None:
    entry = {"image_id": 1, "id": 3, "num_keypoints": 1, "keypoints": keypoints}
    record = read(write(None, person_keypoints=[entry]))
    assert isinstance(record, BrokenSample)
    assert record.reason == reason
