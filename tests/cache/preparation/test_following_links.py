"""Links out of a raw folder: followed into folders that are named, and nowhere else."""

import os
from pathlib import Path

import pytest

from foresight_cache.errors import DatasetError, UsageError
from tests.support import video_sets
from tests.support.preparing import ids, prepare, refusal
from tests.support.three_images import picture

SENTENCE = "is not followed; name the folder that it leads to with --follow-links, or put the file"


def stored(folder: Path, number: int) -> Path:
    """A picture as a store of blobs has it, without a suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:064x}"
    picture(number).save(path, format="JPEG")
    return path


def link(path: Path, target: Path, *, relative: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent) if relative else target)


class TestFiles:
    @pytest.mark.parametrize("relative", [True, False])
    def test_a_store_of_blobs(self, tmp_path: Path, relative: bool) -> None:
        root = tmp_path / "snapshots/main"
        for number, kind in enumerate(("cat", "dog")):
            link(root / kind / "0.jpg", stored(tmp_path / "blobs", number), relative=relative)
        assert SENTENCE.replace("is not", "which is not") in refusal(
            DatasetError, dataset="image-folder", root=root, out=tmp_path / "s"
        )
        summary = prepare("image-folder", root=root, out=tmp_path / "s", follow_links=(tmp_path / "blobs",))
        assert (ids(summary), summary.classes) == (["image-folder/all/cat/0", "image-folder/all/dog/0"], ("cat", "dog"))
        assert summary.inventory is not None
        assert (summary.inventory.files, summary.inventory.taken) == (2, 2)

    def test_only_into_the_folder_that_is_named(self, tmp_path: Path) -> None:
        link(tmp_path / "in/a.jpg", stored(tmp_path / "blobs", 1))
        link(tmp_path / "in/b.jpg", stored(tmp_path / "blobs-of-others", 2))
        (tmp_path / "blobs/way_out").symlink_to(stored(tmp_path / "secret", 3))
        link(tmp_path / "in/c.jpg", tmp_path / "blobs/way_out")
        error = refusal(
            DatasetError,
            dataset="image-folder",
            root=tmp_path / "in",
            out=tmp_path / "s",
            follow_links=(tmp_path / "blobs",),
        )
        assert error.startswith("2 of 3 samples")
        assert "image-folder/all/b: " in error
        assert "image-folder/all/c: " in error

    def test_what_is_no_folder_is_refused(self, tmp_path: Path) -> None:
        error = refusal(
            UsageError, dataset="image-folder", root=tmp_path, out=tmp_path / "s", follow_links=(tmp_path / "no",)
        )
        assert error == f"--follow-links is {tmp_path}/no, which is no folder"

    @pytest.mark.parametrize(("dataset", "fixture"), [("coco", "coco"), ("ade20k", "ade"), ("qa-jsonl", "questions")])
    def test_listed_images(self, dataset: str, fixture: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        root: Path = request.getfixturevalue(fixture)
        store = tmp_path / "store"
        store.mkdir()
        for number, path in enumerate([*root.rglob("*.jpg"), *root.rglob("*.png")]):
            path.rename(store / str(number))
            link(path, store / str(number))
        common = {"dataset": dataset, "root": root, "out": tmp_path / "s", "partial": True}
        assert "is a link out of the folder" in refusal(DatasetError, **common)
        assert len(ids(prepare(common.pop("dataset"), **common, follow_links=(store,)))) == 3


class TestFolders:
    def test_a_class_and_a_clip_elsewhere(self, tmp_path: Path) -> None:
        video_sets.clip(tmp_path / "far/down/a.mp4")
        video_sets.clip(tmp_path / "far/frames")
        video_sets.clip(tmp_path / "in/up/a.mp4", frames=4)
        link(tmp_path / "in/down", tmp_path / "far/down")
        link(tmp_path / "in/up/b", tmp_path / "far/frames")
        request = {"root": tmp_path / "in", "out": tmp_path / "s"}
        assert refusal(DatasetError, dataset="video-folder", **request).startswith("2 of 3 samples")
        summary = prepare("video-folder", **request, follow_links=(tmp_path / "far",))
        assert [name.removeprefix("video-folder/all/") for name in ids(summary)] == ["down/a", "up/a", "up/b"]
        assert summary.inventory is not None
        assert summary.inventory.files == summary.inventory.taken == 8

    def test_frames_that_are_links(self, tmp_path: Path) -> None:
        video_sets.clip(tmp_path / "far/a")
        for path in (tmp_path / "far/a").iterdir():
            link(tmp_path / "in/a" / path.name, path)
        request = {"root": tmp_path / "in", "out": tmp_path / "s"}
        assert "is a link out of the folder" in refusal(DatasetError, dataset="video-folder", **request)
        assert len(ids(prepare("video-folder", **request, follow_links=(tmp_path / "far",)))) == 1

    @pytest.mark.parametrize("target", ["in", "in/cat", "far"])
    def test_circles_end(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "in/cat").mkdir(parents=True)
        (tmp_path / "far").mkdir()
        stored(tmp_path / "far", 1).rename(tmp_path / "in/cat/0.jpg")
        stored(tmp_path / "far", 2).rename(tmp_path / "far/1.jpg")
        link(tmp_path / "far/back", tmp_path / target)
        link(tmp_path / "in/cat/far", tmp_path / "far")
        error = refusal(
            DatasetError, dataset="image-folder", root=tmp_path / "in", out=tmp_path / "s", follow_links=(tmp_path,)
        )
        assert error.startswith("1 of 3 samples")
        assert "image-folder/all/cat/far/back: 'cat/far/back' is a link to a folder" in error

    def test_a_folder_of_a_split_that_is_a_link_is_counted(self, coco: Path, tmp_path: Path) -> None:
        (coco / "val2017").rename(tmp_path / "far")
        link(coco / "val2017", tmp_path / "far")
        summary = prepare("coco", root=coco, out=tmp_path / "s")
        assert summary.inventory is not None
        assert (summary.inventory.taken, summary.inventory.refused) == (3, 0)
