"""What is said of samples that are listed and not there, in a part of a set."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache.errors import DatasetError
from tests.support import video_sets
from tests.support.command import foresight
from tests.support.preparing import prepare, refusal


def _nested(root: Path, folder: str) -> None:
    (root / folder).rename(root / "moved")
    (root / folder).mkdir()
    (root / "moved").rename(root / folder / Path(folder).name)


class TestNoneIsThere:
    """A sentence that is true in each part: how many, where, what was looked for, and what is there instead."""

    def test_clips_a_folder_deeper(self, tmp_path: Path) -> None:
        root = video_sets.ssv2(tmp_path / "in")
        _nested(root, "20bn-something-something-v2")
        folder = root / "20bn-something-something-v2"
        error = refusal(DatasetError, dataset="ssv2", root=root, out=tmp_path / "s", split="train", partial=True)
        assert error.startswith(
            f"none of the 3 samples of 'ssv2' that are listed is in {root}, such as ssv2/train/101: the clip is "
            f"missing: there is no 101.webm, .mp4, .avi or folder of frames in {folder}; below it are media that are "
            "not listed: 7 .webm, such as 20bn-something-something-v2/20bn-something-something-v2/"
        )

    def test_classes_of_another_spelling(self, tmp_path: Path) -> None:
        root = video_sets.ucf101(tmp_path / "in")
        for path in (root / "UCF-101").iterdir():
            path.rename(path.with_name(path.name.lower()))
        error = refusal(DatasetError, dataset="ucf101", root=root, out=tmp_path / "s", partial=True)
        assert " that are listed is in " in error
        assert "media that are not listed: " in error
        assert "such as UCF-101/applyeyemakeup/" in error or "such as UCF-101/yoyo/" in error

    def test_no_image_at_all(self, coco: Path, tmp_path: Path) -> None:
        for path in (coco / "val2017").iterdir():
            path.unlink()
        error = refusal(DatasetError, root=coco, out=tmp_path / "s", partial=True)
        assert error == (
            f"none of the 3 samples of 'coco' that are listed is in {coco}, such as coco/val2017/000000000000: "
            f"there is no {coco}/val2017/000000000000.jpg"
        )

    def test_labels_are_what_is_missing(self, ade: Path, tmp_path: Path) -> None:
        for path in (ade / "annotations/validation").iterdir():
            path.unlink()
        error = refusal(DatasetError, dataset="ade20k", root=ade, out=tmp_path / "s", partial=True)
        assert "its labels are missing: there is no ADE_val_00000000.png in " in error

    @pytest.mark.parametrize("partial", [True, False])
    def test_the_full_ade20k_is_another_set(self, tmp_path: Path, partial: bool) -> None:
        folder = tmp_path / "in/ADE20K_2021_17_01/images/ADE/training/urban/street"
        folder.mkdir(parents=True)
        root = tmp_path / "in/ADE20K_2021_17_01"
        error = refusal(DatasetError, dataset="ade20k", root=root, out=tmp_path / "s", partial=partial)
        assert error == (
            f"{root} is the full ADE20K, with images/ADE and *_seg.png; expected the benchmark's ADEChallengeData2016, "
            "which is another download"
        )

    def test_none_of_the_splits(self, ade: Path, tmp_path: Path) -> None:
        for kind in ("images", "annotations"):
            (ade / kind / "validation").rename(ade / kind / "holdout")
        error = refusal(DatasetError, dataset="ade20k", root=ade, out=tmp_path / "s", partial=True)
        assert error == f"{ade} has none of the splits training, validation of 'ade20k'; splits there: holdout"


class TestSomeAreThere:
    @pytest.mark.parametrize(
        ("damage", "count", "emptied"),
        [
            (lambda root: shutil.rmtree(root / "UCF-101/YoYo"), "2 are", "; none is left of class YoYo"),
            (lambda root: (root / "UCF-101/YoYo/v_YoYo_g01_c01.avi").unlink(), "1 is", ""),
        ],
        ids=["a class", "a clip"],
    )
    def test_one_is_named_and_so_are_classes_that_are_gone(
        self, tmp_path: Path, damage: Callable[[Path], object], count: str, emptied: str
    ) -> None:
        root = video_sets.ucf101(tmp_path / "in")
        damage(root)
        run = foresight("prepare", "ucf101", "--root", root, "--out", tmp_path / "s", "--partial", "--split", "test1")
        assert run.returncode == 0, run.stderr
        line = f"{count} listed and not there, and left out, such as ucf101/test1/v_YoYo_g01_c01{emptied}"
        assert line in run.stdout.splitlines()

    def test_a_scene_that_is_gone(self, ade: Path, tmp_path: Path) -> None:
        (ade / "sceneCategories.txt").write_text(
            "".join(f"ADE_val_{n:08d} {'alley' if n else 'pier'}\n" for n in range(3))
        )
        (ade / "annotations/validation/ADE_val_00000001.png").unlink()
        summary = prepare("ade20k", root=ade, out=tmp_path / "s", partial=True)
        assert summary.absent.ids == ("ade20k/validation/ADE_val_00000001",)
        assert summary.absent.emptied == ()
