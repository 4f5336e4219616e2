"""Exports of labelling tools, which go through the preparation as they are; pycocotools reads the same from them."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from foresight_cache import datasets
from foresight_cache.datasets import RawSample
from foresight_cache.errors import DatasetError
from foresight_cache.preparation.prepare_dataset import PreparationSummary
from foresight_cache.shards import read_shard
from tests.support import coco_exports
from tests.support.coco_exports import cvat, expected, fiftyone, label_studio, labelme, roboflow
from tests.support.preparing import prepare

Found = dict[str, list[tuple[str, list[float]]]]


def found(summary: PreparationSummary) -> Found:
    """Category and box of the objects of each image, by what its name has of the drawn one's."""
    return {
        next(name for name in coco_exports.BOXES if name in sample.id.rpartition("/")[2]): [
            (each["category"], each["box"]) for each in sample.annotations["objects"]
        ]
        for number in range(len(summary.shards.shards))
        for sample, _ in read_shard(summary.shards, number)
    }


def by_pycocotools(path: Path) -> list[tuple[str, list[float]]]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
    boxes = []
    for entry in coco.loadAnns(coco.getAnnIds()):
        x, y, width, height = entry["bbox"]
        boxes.append((coco.loadCats(entry["category_id"])[0]["name"], [x, y, x + width, y + height]))
    return sorted(boxes)


EXPORTS: dict[str, Callable[[Path], Path]] = {
    "CVAT": cvat,
    "CVAT, older": lambda root: cvat(root, images="images"),
    "Datumaro": lambda root: cvat(root, images="images/Train", subset="Train"),
    "Label Studio": label_studio,
    "Label Studio on Windows": lambda root: label_studio(root, "images\\{}"),
    "Label Studio, on its server": lambda root: label_studio(root, "../../label-studio/media/upload/1/{}"),
    "Label Studio, whole paths": lambda root: label_studio(root, "/data/upload/7/{}"),
    "FiftyOne": fiftyone,
    "FiftyOne, older": lambda root: fiftyone(root, first=0),
    "labelme": labelme,
}


@pytest.mark.parametrize("tool", EXPORTS)
def test_an_export_as_it_is(tmp_path: Path, tool: str) -> None:
    root = EXPORTS[tool](tmp_path / "in")
    summary = prepare("coco", root=root, out=tmp_path / "s")
    assert found(summary) == expected()
    (file,) = root.rglob("*.json")
    assert sorted(box for boxes in found(summary).values() for box in boxes) == by_pycocotools(file)
    assert summary.inventory is not None
    passed_over = {kind: each.count for kind, each in summary.inventory.passed_over.items()}
    assert passed_over == {"text": 1} | ({"not-listed": 3} if tool == "labelme" else {})
    (split,) = summary.splits
    assert split == {"CVAT": "default", "CVAT, older": "default", "Datumaro": "Train"}.get(tool, "all")


def test_splits_of_roboflow_and_of_fiftyone(tmp_path: Path) -> None:
    root = roboflow(tmp_path / "r", train=("one", "two"), valid=("three",), test=())
    assert datasets.reader("coco")("mine", root).splits() == ("test", "train", "valid")
    assert found(prepare("coco", root=root, out=tmp_path / "a", split="train")) == expected("one", "two")
    valid = prepare("coco", root=root, out=tmp_path / "b", split="valid")
    assert found(valid) == expected("three")
    assert valid.inventory is not None
    assert {kind: each.count for kind, each in valid.inventory.passed_over.items()} == {"text": 4, "not-listed": 2}
    for split, names in (("train", ("one",)), ("val", ("two", "three"))):
        fiftyone(tmp_path / "f" / split, *names)
    summary = prepare("coco", root=tmp_path / "f", out=tmp_path / "c")
    assert (summary.splits, found(summary)) == ({"train": 1, "val": 2}, expected())
    one = prepare("coco", root=root / "train", out=tmp_path / "d")
    assert (one.splits, found(one)) == ({"all": 2}, expected("one", "two"))


def test_several_subsets_of_cvat_with_all_images_in_one_folder(tmp_path: Path) -> None:
    cvat(tmp_path / "in", images="images", subset="Train", names=("one", "two"))
    cvat(tmp_path / "in", images="images", subset="Validation", names=("three",))
    summary = prepare("coco", root=tmp_path / "in", out=tmp_path / "s")
    assert (summary.splits, found(summary)) == ({"Train": 2, "Validation": 1}, expected())


def test_a_file_that_pycocotools_wrote(tmp_path: Path) -> None:
    """Results that it loads become annotations; their index is saved as people save it."""
    root = cvat(tmp_path / "in", images="images/val", subset="val")
    path = root / "annotations" / "instances_val.json"
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
        entries = coco.loadAnns(coco.getAnnIds())
        results = [
            {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.5} for entry in entries
        ]
        path.write_text(json.dumps(coco.loadRes(results).dataset))
    summary = prepare("coco", root=root, out=tmp_path / "s")
    assert found(summary) == expected()
    assert all("segmentation" in sample["objects"][0] for sample in _annotations(root) if sample["objects"])


def _annotations(root: Path) -> list[Any]:
    listed = datasets.reader("coco")("mine", root).samples("val")
    return [each.sample.annotations for each in listed if isinstance(each, RawSample)]


class TestWhereItIsNotClear:
    @pytest.mark.parametrize(
        ("first", "second", "sentence"),
        [
            (
                cvat,
                label_studio,
                "as by COCO, .*instances_default.json, and as by Label Studio, .*result.json",
            ),
            (
                fiftyone,
                labelme,
                r"as by FiftyOne, .*labels.json, and as by labelme, .*ions.json; which are meant",
            ),
            (label_studio, lambda root: roboflow(root, train=("one",)), "as by Roboflow, .*, and as by Label Studio"),
        ],
    )
    def test_two_layouts(self, tmp_path: Path, first: Any, second: Any, sentence: str) -> None:
        first(tmp_path)
        second(tmp_path)
        with pytest.raises(DatasetError, match=sentence):
            datasets.reader("coco")("mine", tmp_path).splits()

    def test_one_split_or_several(self, tmp_path: Path) -> None:
        fiftyone(tmp_path)
        fiftyone(tmp_path / "train")
        with pytest.raises(DatasetError, match=r"labels.json and .*train/labels.json are both there; whether"):
            datasets.reader("coco")("mine", tmp_path).splits()

    def test_images_of_one_name_in_several_folders_of_a_server(self, tmp_path: Path) -> None:
        root = label_studio(tmp_path, "/data/upload/7/{}")
        document = json.loads((root / "result.json").read_text())
        document["images"][1]["file_name"] = document["images"][0]["file_name"].replace("/7/", "/8/")
        (root / "result.json").write_text(json.dumps(document))
        with pytest.raises(DatasetError, match="lists several files for one sample: mine/all/0f3a2c1d-one"):
            list(datasets.reader("coco")("mine", root).samples("all"))

    def test_categories_of_splits_that_differ(self, tmp_path: Path) -> None:
        fiftyone(tmp_path / "train", "one", first=0)
        fiftyone(tmp_path / "val", "three", first=1)
        with pytest.raises(DatasetError, match=r"category 1 is 'dog' in .*train/labels.json and 'cat' in .*val/labels"):
            list(datasets.reader("coco")("mine", tmp_path).samples("train"))

    def test_a_file_that_is_no_export(self, tmp_path: Path) -> None:
        label_studio(tmp_path)
        (tmp_path / "result.json").write_text("[]")
        with pytest.raises(DatasetError, match=r"result.json is not a COCO annotation file: expected a list"):
            list(datasets.reader("coco")("mine", tmp_path).samples("all"))
        with pytest.raises(DatasetError, match="has no split 'train'; splits there: all"):
            list(datasets.reader("coco")("mine", tmp_path).samples("train"))

    def test_a_missing_folder_of_a_split_is_missed_beside_those_of_others(self, tmp_path: Path) -> None:
        cvat(tmp_path, images="images/Train", subset="Train", names=("one",))
        cvat(tmp_path, images="images/Validation", subset="Test", names=("two",))
        with pytest.raises(DatasetError, match="the images of split 'Test' are missing"):
            list(datasets.reader("coco")("mine", tmp_path).samples("Test"))
