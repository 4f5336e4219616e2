"""Files that labelling tools themselves wrote go through the preparation; pycocotools reads the same from them."""

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask
from pycocotools.coco import COCO

from foresight_cache import datasets
from foresight_cache.errors import DatasetError
from foresight_cache.preparation.prepare_dataset import PreparationSummary
from foresight_cache.shards import read_shard
from tests.support.preparing import prepare

FILES = Path(__file__).parent / "exports"
SIZE = (24, 18)
Objects = list[tuple[int, str, list[float], bool, bytes | None]]


def lay_out(form: str, root: Path) -> Path:
    """Copies the files of a tool and draws the images where it put its own."""
    shutil.copytree(FILES / form, root, ignore=shutil.ignore_patterns("images.txt"), dirs_exist_ok=True)
    for number, name in enumerate((FILES / form / "images.txt").read_text(encoding="utf-8").splitlines()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)
    return root


def found(summary: PreparationSummary) -> dict[str, Objects]:
    """Objects of each image by the last part of its id, with their outlines as run lengths."""
    return {
        sample.id.rpartition("/")[2]: [
            (each["annotation_id"], each["category"], each["box"], each["crowd"], _counts(each.get("segmentation")))
            for each in sample.annotations["objects"]
        ]
        for number in range(len(summary.shards.shards))
        for sample, _ in read_shard(summary.shards, number)
    }


def _counts(outline: dict[str, Any] | None) -> bytes | None:
    return outline["counts"].encode() if outline else None


def by_pycocotools(*paths: Path) -> dict[str, Objects]:
    read: dict[str, Objects] = {}
    for path in paths:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(path)
        for image in coco.loadImgs(coco.getImgIds()):
            name = Path(image["file_name"]).stem
            read[name] = [_object(coco, entry) for entry in coco.loadAnns(coco.getAnnIds(image["id"]))]
    return read


def _object(coco: COCO, entry: dict[str, Any]) -> tuple[int, str, list[float], bool, bytes | None]:
    x, y, width, height = entry["bbox"]
    (category,) = coco.loadCats(entry["category_id"])
    counts = coco.annToRLE(entry)["counts"] if entry.get("segmentation") else None
    counts = counts.encode() if isinstance(counts, str) else counts  # it hands run lengths on as they are
    return entry["id"], category["name"], [x, y, x + width, y + height], bool(entry["iscrowd"]), counts


FORMS: dict[str, dict[str, str]] = {
    "cvat": {"Train": "annotations/instances_Train.json"},
    "datumaro": {
        "Train": "annotations/instances_Train.json",
        "Validation": "annotations/instances_Validation.json",
    },
    "fiftyone": {"all": "labels.json"},
    "fiftyone_classes": {"all": "labels.json"},
    "fiftyone_unlabelled": {"all": "labels.json"},
    "label_studio_local_files": {"all": "result.json"},
    "label_studio_uploads": {"all": "result.json"},
    "label_studio_without_images": {"all": "result.json"},
}
"""Annotation file of each split."""


def test_every_form_is_tried() -> None:
    assert {path.name for path in FILES.iterdir() if path.is_dir()} - {"__pycache__"} == {
        *FORMS,
        "label_studio_two_annotators",
    }


@pytest.mark.parametrize("form", FORMS)
def test_what_a_tool_wrote(tmp_path: Path, form: str) -> None:
    root = lay_out(form, tmp_path / "in")
    summary = prepare("coco", root=root, out=tmp_path / "s")
    read = found(summary)
    assert read == by_pycocotools(*(root / name for name in FORMS[form].values()))
    assert list(summary.splits) == list(FORMS[form])
    by_name = {name.rpartition("-")[2]: objects for name, objects in read.items()}
    assert by_name["empty"] == []
    if form != "fiftyone_unlabelled":
        assert by_name["three cats"][0][1:4] == ("cat", [1.5, 2, 10.5, 10], False)
        assert "dog" in [category for _, category, *_ in by_name["café"]]
    assert summary.inventory is not None
    not_listed = summary.inventory.passed_over.get("not-listed")
    assert (not_listed.count if not_listed else 0) == (1 if form == "datumaro" else 0)  # its panoptic labels


def test_splits_of_which_one_has_no_objects(tmp_path: Path) -> None:
    """FiftyOne leaves the list of annotations out of a file without any."""
    lay_out("fiftyone", tmp_path / "in" / "train")
    lay_out("fiftyone_unlabelled", tmp_path / "in" / "test")
    path = tmp_path / "in" / "test" / "labels.json"
    assert "annotations" not in json.loads(path.read_text(encoding="utf-8"))
    assert prepare("coco", root=tmp_path / "in", out=tmp_path / "s").splits == {"test": 4, "train": 4}


@pytest.mark.parametrize("broken", [{"annotations": None}, {"annotations": {}}, {"images": None}])
def test_what_is_there_must_be_a_list(tmp_path: Path, broken: dict[str, Any]) -> None:
    path = lay_out("fiftyone_unlabelled", tmp_path) / "labels.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | broken))
    (key,) = broken
    with pytest.raises(DatasetError, match=f"labels.json is not a COCO annotation file: .* under '{key}'"):
        list(datasets.reader("coco")("mine", tmp_path).samples("all"))


def test_images_that_several_people_annotated(tmp_path: Path) -> None:
    lay_out("label_studio_two_annotators", tmp_path)
    with pytest.raises(DatasetError, match="lists one file more than once: mine/all/1f3a2c1d-three cats, mine/all/3"):
        list(datasets.reader("coco")("mine", tmp_path).samples("all"))


def test_masks_that_pycocotools_wrote(tmp_path: Path) -> None:
    """Results that it loads become annotations, whose boxes and areas it takes from their masks."""
    root = lay_out("cvat", tmp_path / "in")
    path = root / FORMS["cvat"]["Train"]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
        results = [
            {
                **{"image_id": image["id"], "category_id": 2, "score": 0.5},
                "segmentation": {"size": list(SIZE[::-1]), "counts": _blob(image["id"])},
            }
            for image in coco.loadImgs(coco.getImgIds())
        ]
        path.write_text(json.dumps(coco.loadRes(results).dataset, default=lambda value: value.tolist()))
    read = found(prepare("coco", root=root, out=tmp_path / "s"))
    assert read == by_pycocotools(path)
    assert read["empty"] == [(2, "dog", [4, 2, 9, 7], False, _blob(2).encode())]


def _blob(side: int) -> str:
    """Run lengths of a rectangle of 5 columns and `side` + 3 rows, `side` pixels right of column 2, below row 1."""
    pixels = np.zeros(SIZE[::-1], dtype=np.uint8, order="F")
    pixels[2 : 5 + side, 2 + side : 7 + side] = 1
    return str(mask.encode(pixels)["counts"].decode())
