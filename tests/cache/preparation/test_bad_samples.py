"""Samples that cannot be used: the reason for each, and how many of them a preparation accepts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foresight_cache.errors import DatasetError
from foresight_cache.preparation import expectations
from foresight_cache.shards import open_shards
from tests.support.preparing import edit, ids, prepare, refusal


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


def test_many_bad_samples_are_counted_and_none_left_is_said(raw: Path, tmp_path: Path) -> None:
    for path in (raw / "train").iterdir():
        path.unlink()
    message = refusal(DatasetError, root=raw, out=tmp_path / "s", max_bad=1)
    assert message.startswith(
        "6 of 6 samples of 'coco' cannot be used, --max-bad 1 allows 6; none is left:\n  coco/train"
    )
    assert message.endswith("\n  … and 1 more")


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
