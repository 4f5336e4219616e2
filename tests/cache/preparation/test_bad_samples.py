"""Samples that cannot be used: the reason for each, and how many of them a preparation accepts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foresight_cache.errors import BadSample, DatasetError, UsageError
from foresight_cache.media.labels import check_labels
from foresight_cache.preparation import expectations
from foresight_cache.preparation.causes import causes_of
from foresight_cache.samples import Sample
from foresight_cache.shards import Quarantined, open_shards, read_shard
from tests.support.preparing import edit, ids, prepare, refusal
from tests.support.three_images import HEIGHT, WIDTH


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (448, 300)).save(path, exif=exif)


def _linked(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere.png"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "train/000000000002.png cannot be read: No such file or directory"),
        (_folder, "train/000000000002.png cannot be read: Is a directory"),
        (_loop, ""),
        (lambda path: path.write_bytes(b""), "train/000000000002.png: the file is empty; expected JPEG, PNG"),
        (lambda path: path.write_bytes(b"<html>"), "train/000000000002.png: the file is no image that can be read"),
        (_cut, "train/000000000002.png: the image is damaged: "),
        (
            lambda path: Image.new("RGB", (9, 8)).save(path),
            "train/000000000002.png: the image has 9×8 pixels, its annotations say 448×448",
        ),
        (_turned, "train/000000000002.png: the image has 300×448 pixels, its annotations say 448×448"),
        (_linked, "file_name '000000000002.png' is a link out of the folder of the images, which is not followed"),
    ],
)
def test_a_bad_image_is_quarantined_with_the_reason(
    raw: Path, tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(raw / "train" / "000000000002.png")
    summary = prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.2, samples_per_shard=2)
    (bad,) = open_shards(tmp_path / "s").quarantined
    assert bad.id == "coco/train/000000000002"
    assert bad.reason.startswith(reason)
    assert ids(summary) == [f"coco/train/{number:012d}" for number in (0, 1, 3, 4, 5)]
    assert [len(shard.ids) for shard in summary.shards.shards] == [2, 2, 1]


def test_annotations_of_the_unturned_photo_are_told(raw: Path, tmp_path: Path) -> None:
    path = raw / "train" / "000000000002.png"
    _turned(path)
    edit(raw, lambda document: document["images"][2].update(width=448, height=300) or document["annotations"].clear())
    summary = prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.2)
    assert summary.shards.quarantined[0].reason == (
        "train/000000000002.png: the image has 300×448 pixels, its annotations say 448×300, "
        "which were made of the image as it is stored, not upright"
    )


def test_too_many_bad_samples_stop_it(raw: Path, tmp_path: Path) -> None:
    (raw / "train" / "000000000002.png").unlink()
    edit(raw, lambda document: document["images"][4].update(width=-1))
    assert refusal(DatasetError, root=raw, out=tmp_path / "s", max_bad=0.3) == (
        "2 of 6 samples of 'coco' cannot be used, --max-bad 0.3 allows 1; "
        "mend them, or leave them out with --max-bad 0.34:\n"
        "  coco/train/000000000002: train/000000000002.png cannot be read: No such file or directory\n"
        "  coco/train/000000000004: the entry under 'images' has width -1, expected a positive integer"
    )
    assert not (tmp_path / "s").exists()
    assert len(ids(prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.34))) == 4
    assert "--max-bad 0 allows 0" in refusal(DatasetError, root=raw, out=tmp_path / "s")


def test_one_reason_of_many_samples_is_told_once(raw: Path, tmp_path: Path) -> None:
    for path in (raw / "train").iterdir():
        path.write_bytes(b"<html>")
    message = refusal(DatasetError, root=raw, out=tmp_path / "s", max_bad=1)
    assert message.startswith(
        "6 of 6 samples of 'coco' cannot be used, --max-bad 1 allows 6; all for one reason, which has to be mended "
        "in the set itself:\n  6 for one reason, such as\n    coco/train/000000000000: train/000000000000.png: the"
    )
    assert message.count("\n") == 4, "the number and three examples"


def test_many_missing_files_are_a_part_of_a_set(raw: Path, tmp_path: Path) -> None:
    for number in range(5):
        (raw / "train" / f"{number:012d}.png").unlink()
    message = refusal(DatasetError, root=raw, out=tmp_path / "s")
    assert "; get the files that are missing, or prepare what is there with --partial:\n  5 for one" in message
    assert ids(prepare("coco", root=raw, out=tmp_path / "s", partial=True)) == ["coco/train/000000000005"]


def test_other_reasons_stand_beside_the_one_of_many(raw: Path, tmp_path: Path) -> None:
    for number in range(1, 5):
        (raw / "train" / f"{number:012d}.png").write_bytes(b"")
    edit(raw, lambda document: document["images"][0].update(width=-1))
    message = refusal(DatasetError, root=raw, out=tmp_path / "s", max_bad=0.5)
    assert "--max-bad 0.5 allows 3; 4 for one reason, which has to be mended in the set itself:\n  4 for one" in message
    assert message.endswith(
        "coco/train/000000000000: the entry under 'images' has width -1, expected a positive integer"
    )
    assert len(ids(prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.9))) == 1, "who insists is obeyed"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("train/a.png: the file is empty", "train/b.png: the file is empty", True),
        ("annotation 5 has bbox [1, 2, 3, 4], which", "annotation 77 has bbox [-1, 2.5, 3, 4], which", True),
        ("its labels have the value 255, expected", "its labels have the value 151, expected", True),
        ("train/a.png: the file is empty", "train/b.png: the image is damaged: cut", False),
        ("annotation 5 has area -1, expected", "annotation 5 has iscrowd 2, expected", False),
    ],
)
def test_reasons_of_one_cause(one: str, other: str, same: bool) -> None:
    samples = [Quarantined(id=f"set/train/{name}", reason=reason) for name, reason in (("a", one), ("b", other))]
    assert len(causes_of(samples)) == (1 if same else 2)


def test_a_share_is_counted_exactly(raw: Path, tmp_path: Path) -> None:
    """0.58 × 50 is 28.999999999999996 in floating point, and 29 samples are 0.58 of 50."""

    def thin_out(document: dict[str, Any]) -> None:
        document["annotations"].clear()
        document["images"] = [
            {"id": number, "file_name": f"{number}.png", "width": 5 if number >= 29 else -1, "height": 4}
            for number in range(50)
        ]

    edit(raw, thin_out)
    for number in range(50):
        Image.new("RGB", (5, 4)).save(raw / "train" / f"{number}.png")
    assert len(ids(prepare("coco", root=raw, out=tmp_path / "s", max_bad=0.58))) == 21


@given(bad=st.integers(1, 200), good=st.integers(1, 200_000))
def test_the_suggested_share_is_enough(bad: int, good: int) -> None:
    share = float(expectations._share_above(bad, bad + good))
    assert bad <= int(share * (bad + good) + 1e-9)
    assert share <= 1.11 * bad / (bad + good) + 0.01


def test_an_empty_split_is_told(raw: Path, tmp_path: Path) -> None:
    edit(raw, lambda document: [document[key].clear() for key in ("images", "annotations")])
    assert refusal(DatasetError, root=raw, out=tmp_path / "s") == (
        "split 'train' of 'coco' is empty: its annotations list no samples; "
        "choose another with --split or get the annotations again"
    )
    assert not (tmp_path / "s").exists()


def _labels(ade: Path, labels_HW: np.ndarray) -> None:
    for path in (ade / "annotations" / "validation").iterdir():
        Image.fromarray(labels_HW.astype(np.uint8)).save(path)


@pytest.mark.parametrize(("value", "remedy"), [(255, "; if it means 'unlabelled' write 0 for it, and if"), (151, "")])
def test_labels_past_the_classes_are_found_before_anything_is_extracted(
    ade: Path, tmp_path: Path, value: int, remedy: str
) -> None:
    labels_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels_HW[:8] = value
    _labels(ade, labels_HW)
    message = refusal(DatasetError, dataset="ade20k", root=ade, out=tmp_path / "s", partial=True)
    assert message.startswith("3 of 3 samples of 'ade20k' cannot be used, --max-bad 0 allows 0; none is left:")
    assert message.count(f"its labels have the value {value}, expected at most 150{remedy}") == 3
    assert remedy or "unlabelled" not in message
    labels_HW[:8] = 150
    _labels(ade, labels_HW)
    assert len(ids(prepare("ade20k", root=ade, out=tmp_path / "s", partial=True))) == 3


def test_masks_of_black_and_white_are_told() -> None:
    common = {"id": "d/s/a", "dataset": "d", "split": "s", "group": "g", "media": "image", "file_name": "a"}
    spec = {"classes": ["background", "object 1"], "ignore": None}
    sample = Sample(**common, width=4, height=1, annotations={"labels": spec})  # type: ignore[arg-type]
    with pytest.raises(
        BadSample, match="the value 255, expected at most 1; a mask of 0 and 255 alone shows one object"
    ):
        check_labels(np.array([[0, 255, 0, 255]], np.uint8), sample)
    with pytest.raises(BadSample, match="the value 255, expected at most 1$"):
        check_labels(np.array([[0, 255, 1, 255]], np.uint8), sample)


def test_objects_that_are_all_crowds_are_told(raw: Path, tmp_path: Path) -> None:
    def crowd(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            entry["iscrowd"] = 1

    assert prepare("coco", root=raw, out=tmp_path / "single").remarks == ()
    edit(raw, crowd)
    count = len(json.loads((raw / "annotations" / "instances_train.json").read_text())["annotations"])
    (remark,) = prepare("coco", root=raw, out=tmp_path / "s").remarks
    assert remark.startswith(f"{count} objects, all of them crowds (iscrowd 1), which the tasks of boxes and numbers")


def test_the_form_of_boxes_is_part_of_the_request(raw: Path, tmp_path: Path) -> None:
    def as_corners(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            x, y, width, height = entry["bbox"]
            entry["bbox"] = [x, y, x + width, y + height]

    prepare("coco", root=raw, out=tmp_path / "before")
    edit(raw, as_corners)
    assert "read them with --boxes xyxy" in refusal(DatasetError, root=raw, out=tmp_path / "s")
    prepare("coco", root=raw, out=tmp_path / "s", boxes="xyxy")
    before, after = (next(iter(read_shard(open_shards(tmp_path / name), 0)))[0] for name in ("before", "s"))
    assert before.annotations == after.annotations
    assert "boxes" in refusal(UsageError, root=raw, out=tmp_path / "s")
    assert "unknown form of boxes 'corners'" in refusal(UsageError, root=raw, out=tmp_path / "t", boxes="corners")
    assert refusal(UsageError, dataset="ade20k", root=raw, out=tmp_path / "t", boxes="xyxy") == (
        "--boxes is xyxy, but 'ade20k' has no boxes to read so"
    )
