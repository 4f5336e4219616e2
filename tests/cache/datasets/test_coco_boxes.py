"""Boxes in another form than COCO's: found by area, outline and image, and read right when told so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foresight_cache.datasets import BoxForm, BrokenSample, RawSample
from foresight_cache.datasets.layouts.coco import Reader
from foresight_cache.errors import DatasetError

WIDTH, HEIGHT = 96, 72
CORNERS = [(4, 4, 24, 20), (10, 8, 40, 30), (60, 40, 90, 70), (50, 30, 80, 60)]
FORMS: dict[str, Callable[..., list[float]]] = {
    "xywh": lambda x0, y0, x1, y1: [x0, y0, x1 - x0, y1 - y0],
    "xyxy": lambda x0, y0, x1, y1: [x0, y0, x1, y1],
    "fraction": lambda x0, y0, x1, y1: [x0 / WIDTH, y0 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT],
}


def annotation(number: int, form: str, *also: str) -> dict[str, Any]:
    """Returns an annotation of image 1, with area and outline if asked for."""
    x0, y0, x1, y1 = CORNERS[number % 4]
    known = {"area": (x1 - x0) * (y1 - y0), "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
    box = FORMS[form](x0, y0, x1, y1)
    return {"id": number, "image_id": 1, "category_id": 1, "bbox": box, **{key: known[key] for key in also}}


def document(entries: list[dict[str, Any]]) -> dict[str, Any]:
    image = {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}
    return {"images": [image], "annotations": entries, "categories": [{"id": 1, "name": "c"}]}


def objects(reader: Reader) -> list[dict[str, Any]]:
    (record,) = reader.samples("val2014")
    assert isinstance(record, RawSample), record
    return list(record.sample.annotations["objects"])


@pytest.mark.parametrize(
    ("form", "also"),
    [
        ("xyxy", ()),
        ("xyxy", ("area",)),
        ("xyxy", ("segmentation",)),
        ("xyxy", ("area", "segmentation")),
        ("fraction", ()),
        ("fraction", ("area",)),
        ("fraction", ("segmentation",)),
    ],
)
def test_another_form_is_found_and_read_when_told(folder: Callable[..., Path], form: BoxForm, also: Any) -> None:
    root = folder(document([annotation(number, form, *also) for number in range(4)]), split="val2014")
    with pytest.raises(DatasetError) as caught:
        list(Reader("coco", root).samples("val2014"))
    message = str(caught.value)
    words = {"xyxy": "corners [x0, y0, x1, y1]", "fraction": "fractions of the image"}[form]
    assert f"instances_val2014.json: the boxes seem to be {words}, where COCO has [x, y, width, height]: " in message
    first = 2 if (form, also) == ("xyxy", ()) else 0  # corners alone are seen where a side would leave the image
    assert f"of 4 fit their area, outline and image better so, and 0 worse, such as annotation {first}" in message
    assert message.endswith(f"read them with --boxes {form}, or as they stand with --boxes xywh")
    told = Reader("coco", root)
    told.read_boxes_as(form)
    for entry, corners in zip(objects(told), CORNERS, strict=True):
        assert entry["box"] == pytest.approx(corners)
        assert entry["area"] == pytest.approx((corners[2] - corners[0]) * (corners[3] - corners[1]))


def test_an_area_in_fractions_becomes_pixels(folder: Callable[..., Path]) -> None:
    entries = [annotation(number, "fraction") for number in range(4)]
    for entry in entries:
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    reader = Reader("coco", folder(document(entries)))
    reader.read_boxes_as("fraction")
    assert [entry["area"] for entry in objects(reader)] == pytest.approx(
        [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in CORNERS]
    )


@pytest.mark.parametrize("also", [(), ("area",), ("segmentation",)])
def test_boxes_of_coco_are_believed(folder: Callable[..., Path], also: Any) -> None:
    reader = Reader("coco", folder(document([annotation(number, "xywh", *also) for number in range(4)])))
    assert [entry["box"] for entry in objects(reader)] == [pytest.approx(corners) for corners in CORNERS]
    assert reader.remarks() == ()


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": [0, 0, 96, 72]},  # larger than what is visible of it
        {"area": 5, "segmentation": []},  # the area of a mask that was left out
        {"bbox": [0, 0, 0, 0], "area": 0, "segmentation": []},  # COCO's own training set has two
        {"segmentation": [[-3, 4, 24, 4, 24, 20]], "bbox": [0, 4, 24, 16]},  # cut at the border
    ],
)
def test_what_contradicts_nothing(folder: Callable[..., Path], change: dict[str, Any]) -> None:
    entries = [{**annotation(4 * number, "xywh", "area", "segmentation"), **change} for number in range(3)]
    reader = Reader("coco", folder(document(entries)))
    assert len(objects(reader)) == 3
    assert reader.remarks() == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"area": 9000}, "area 9000 and an outline from (4, 4) to (24, 20)"),
        ({"segmentation": [[4, 4, 60, 4, 60, 20]]}, "area 320 and an outline from (4, 4) to (60, 20)"),
    ],
)
class TestContradictions:
    """Boxes that area or outline contradict, while no other form fits."""

    def test_a_few_are_told_once(self, folder: Callable[..., Path], change: dict[str, Any], said: str) -> None:
        entries = [annotation(number, "xywh", "area", "segmentation") for number in range(20)]
        for number in (0, 4, 8, 12):
            entries[number] |= change
        reader = Reader("coco", folder(document(entries)))
        assert len(objects(reader)) == 20
        assert reader.remarks() == (
            "instances_val2014.json: 4 of 20 boxes contradict their own area or outline, such as "
            + "; ".join(f"annotation {number} with bbox [4, 4, 20, 16] beside {said}" for number in (0, 4, 8)),
        )

    def test_most_are_refused(self, folder: Callable[..., Path], change: dict[str, Any], said: str) -> None:
        entries = [annotation(4 * number, "xywh", "area", "segmentation") | change for number in range(3)]
        root = folder(document(entries))
        with pytest.raises(DatasetError) as caught:
            list(Reader("coco", root).samples("val2014"))
        assert "3 of 3 boxes contradict their own area or outline, such as annotation 0 with" in str(caught.value)
        assert str(caught.value).endswith("mend the file, or believe the boxes with --boxes xywh")
        assert said in str(caught.value)
        told = Reader("coco", root)
        told.read_boxes_as("xywh")
        assert [entry["box"] for entry in objects(told)] == [[4, 4, 24, 20]] * 3


def test_one_box_outside_is_no_form(folder: Callable[..., Path]) -> None:
    entries = [annotation(number, "xywh") for number in range(8)]
    entries[0]["bbox"] = [50, 40, 90, 70]
    (record,) = Reader("coco", folder(document(entries))).samples("val2014")
    assert isinstance(record, BrokenSample)
    assert record.reason == "annotation 0 has bbox [50, 40, 90, 70], which lies outside its image of 96×72 pixels"


ONE = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 6, 16, 30], "area": 480, "iscrowd": 0}
OUTLINE = [[10, 10, 40, 10, 40, 40, 10, 40]]
RUNS = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * 10 + 5, 20, 52, 20, WIDTH * HEIGHT - HEIGHT * 10 - 97]}


@pytest.mark.parametrize(
    ("entry", "box", "area"),
    [
        ({**ONE, "area": None}, [8, 6, 24, 36], 480),
        ({**ONE, "iscrowd": None}, [8, 6, 24, 36], 480),
        ({**ONE, "segmentation": [[]]}, [8, 6, 24, 36], 480),
        ({**ONE, "bbox": None, "area": None, "segmentation": OUTLINE}, [10, 10, 40, 40], 900),
        ({**ONE, "bbox": [], "area": 700, "segmentation": OUTLINE}, [10, 10, 40, 40], 700),
        ({**ONE, "bbox": None, "area": None, "segmentation": RUNS}, [10, 5, 12, 25], 40),
    ],
)
def test_what_is_left_out_is_known_from_elsewhere(
    folder: Callable[..., Path], entry: dict[str, Any], box: list[float], area: float
) -> None:
    (found,) = objects(Reader("coco", folder(document([entry]))))
    assert (found["box"], found["area"], found["crowd"]) == (box, area, False)


def test_a_placeholder_is_no_object(folder: Callable[..., Path]) -> None:
    assert objects(Reader("coco", folder(document([{**ONE, "bbox": [], "area": 0, "segmentation": [[]]}])))) == []


@pytest.mark.parametrize(
    "size",
    [{}, {"width": 0, "height": 0}, {"width": None, "height": None}, {"width": 96}, {"width": 96.0, "height": 72.0}],
)
def test_the_size_may_be_left_to_the_image(folder: Callable[..., Path], size: dict[str, Any]) -> None:
    whole = document([ONE])
    whole["images"] = [{"id": 1, "file_name": "a.png", **size}]
    root = folder(whole)
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "val2014" / "a.png")
    (record,) = Reader("coco", root).samples("val2014")
    assert isinstance(record, RawSample)
    assert (record.sample.width, record.sample.height) == (WIDTH, HEIGHT)


def test_a_size_that_only_a_missing_image_could_tell(folder: Callable[..., Path]) -> None:
    whole = document([ONE])
    whole["images"] = [{"id": 1, "file_name": "a.png"}]
    root = folder(whole)
    (record,) = Reader("coco", root).samples("val2014")
    assert isinstance(record, BrokenSample)
    assert record.absent
    assert record.reason == f"there is no a.png in {root}/val2014, which alone could tell its size"
