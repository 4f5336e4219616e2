"""The ADE20K reader on the real photographs and on damaged copies of the layout."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.layouts.ade20k import Reader
from foresight_cache.errors import DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images with labels of the training split."""
    folder = tmp_path / "ADEChallengeData2016"
    for number in (1, 2):
        for kind, suffix, mode in (("images", "jpg", "RGB"), ("annotations", "png", "L")):
            path = folder / kind / "training" / f"ADE_train_{number:08d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (20, 10), number).save(path)
    (folder / "sceneCategories.txt").write_text("ADE_train_00000001 airport_terminal\nADE_train_00000002 alley\n")
    heading = "Idx\tRatio\tTrain\tVal\tName\n"
    (folder / "objectInfo150.txt").write_text(
        heading + "".join(f"{n}\t0.1\t9\t1\tthing, stuff\n" for n in range(1, 151))
    )
    return folder


def read(root: Path, split: str = "training") -> list[RawSample | BrokenSample]:
    return list(Reader("ade20k", root).samples(split))


def sound_samples(root: Path) -> list[RawSample]:
    records = read(root)
    assert all(isinstance(record, RawSample) for record in records), records
    return [record for record in records if isinstance(record, RawSample)]


def test_images_labels_and_scenes(root: Path) -> None:
    first, second = sound_samples(root)
    assert first.sample.id == "ade20k/training/ADE_train_00000001"
    assert first.path == root / "images/training/ADE_train_00000001.jpg"
    assert first.labels == root / "annotations/training/ADE_train_00000001.png"
    assert first.sample.annotations == {
        "labels": {"classes": {"count": 150}, "ignore": 0},
        "scene": "airport_terminal",
    }
    assert second.sample.annotations["scene"] == "alley"


def test_the_folder_above_will_do(root: Path) -> None:
    assert sound_samples(root.parent) == sound_samples(root)


def test_the_real_photographs(assets: Path) -> None:
    root = assets / "data" / "ADEChallengeData2016"
    records = read(root, "validation")
    assert [Path(record.sample.file_name).name for record in records if isinstance(record, RawSample)] == sorted(
        path.name for path in (root / "images/validation").iterdir()
    )
    assert all(record.sample.annotations["labels"]["classes"] == {"count": 150} for record in records)  # type: ignore[union-attr]


def test_tables_may_be_missing(root: Path) -> None:
    (root / "objectInfo150.txt").unlink()
    (root / "sceneCategories.txt").unlink()
    assert sound_samples(root)[0].sample.annotations == {"labels": {"classes": {"count": 150}, "ignore": 0}}


def _beside(root: Path) -> None:
    (root / "annotations/training/ADE_train_00000007.png").write_bytes(b"")


def _linked(root: Path) -> None:
    path = root / "annotations/training/ADE_train_00000002.png"
    path.rename(root / "elsewhere.png")
    path.symlink_to(root / "elsewhere.png")


def _not_utf8(root: Path) -> None:
    Image.new("RGB", (2, 2)).save(os.fsdecode(os.fsencode(root / "images/training/ADE_") + b"\xe9.jpg"))


@pytest.mark.parametrize(
    ("damage", "sample_id", "reason"),
    [
        (
            lambda root: (root / "annotations/training/ADE_train_00000002.png").unlink(),
            "ade20k/training/ADE_train_00000002",
            "its labels are missing: there is no ADE_train_00000002.png in ",
        ),
        (
            _beside,
            "ade20k/training/ADE_train_00000007",
            "there are labels ADE_train_00000007.png but no image ADE_train_00000007.jpg in ",
        ),
        (_linked, "ade20k/training/ADE_train_00000002", "'ADE_train_00000002.png' is a link out of the folder"),
        (_not_utf8, "ade20k/training/ADE_\\udce9", "its file name 'ADE_\\udce9.jpg' is not UTF-8; rename the file"),
    ],
)
def test_one_bad_sample_leaves_the_others(
    root: Path, damage: Callable[[Path], None], sample_id: str, reason: str
) -> None:
    damage(root)
    records = read(root)
    (broken,) = (record for record in records if isinstance(record, BrokenSample))
    assert broken.id == sample_id
    assert broken.reason.startswith(reason)
    assert any(isinstance(record, RawSample) for record in records)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: shutil.rmtree(root / "images"), "is not an ADE20K folder: there is no "),
        (lambda root: shutil.rmtree(root / "images/training"), "holds no folder of a split; expected ROOT/images/"),
        (lambda root: shutil.rmtree(root / "annotations"), "the labels of split 'training' are missing: there is no"),
        (
            lambda root: (root / "objectInfo150.txt").write_text("Idx\tName\n1\twall\n3\tsky\n"),
            "lists no classes numbered from 1 on, such as the row '3\\tsky'; get the file again",
        ),
        (lambda root: (root / "objectInfo150.txt").write_bytes(b"\xff\xfe"), "is not UTF-8 text (byte 0)"),
        (
            lambda root: (root / "sceneCategories.txt").write_text("ADE_train_00000001 a b\n"),
            "sceneCategories.txt, line 1: expected the name of an image and its scene",
        ),
    ],
)
def test_a_folder_that_is_wrong_as_a_whole(root: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(root)
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert message in str(caught.value)


def test_a_wrong_split(root: Path) -> None:
    with pytest.raises(DatasetError, match="has no split 'train'; splits there: training"):
        read(root, "train")
