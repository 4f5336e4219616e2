"""Folders of clips, which are video files or folders of numbered frames."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import datasets
from foresight_cache.datasets import RawSample
from foresight_cache.preparation.packing import pack_sample
from tests.support import video_sets
from tests.support.made_clips import number_in
from tests.support.reading import broken, sound_samples


class TestFolders:
    """Frames of a clip as files, in any of the sets."""

    def test_numbers_count_and_not_letters(self, tmp_path: Path) -> None:
        folder = video_sets.frame_folder(tmp_path / "a", 12, "frame{}.png")
        (folder / "notes.txt").write_text("not a frame")
        record = next(iter(datasets.reader("video_folder")("mine", tmp_path).samples("all")))
        assert isinstance(record, RawSample)
        _, members = pack_sample(record)
        from foresight_cache.media.clips import decode_clip

        assert [number_in(pixels) for pixels in decode_clip(members, range(12))] == list(range(12))

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (
                lambda a: (a / "img_00003.jpg").unlink(),
                "frames are missing between img_00002.jpg and img_00004.jpg: 1",
            ),
            (lambda a: (a / "img_00003.jpg").write_bytes(b""), "the file is empty"),
            (lambda a: (a / "img_7.jpg").write_bytes((a / "img_00002.jpg").read_bytes()), None),
            (lambda a: (a / "img_06.jpg").write_bytes(b"x"), "have one number"),
            (lambda a: (a / "img_00003.jpg").rename(a / "img_00003.png"), "of the kinds jpg, png; expected one"),
            (
                lambda a: (a / "img_00003.jpg").write_bytes(
                    video_sets.image_bytes(np.zeros((8, 8, 3), np.uint8), "JPEG")
                ),
                "frames of 64×48 and of 8×8 pixels",
            ),
            (
                lambda a: (
                    (a / "img_00003.jpg").rename(a.parent.parent / "o.jpg"),
                    (a / "img_00003.jpg").symlink_to(a.parent.parent / "o.jpg"),
                ),
                "is a link out of the folder",
            ),
        ],
        ids=["gap", "empty", "other digits", "twice", "kinds", "sizes", "link"],
    )
    def test_damage(self, tmp_path: Path, damage: Callable[[Path], object], words: str | None) -> None:
        video_sets.frame_folder(tmp_path / "root/a", 6)
        video_sets.frame_folder(tmp_path / "root/b", 3)
        damage(tmp_path / "root/a")
        reasons = broken("video_folder", tmp_path / "root", "all")
        assert list(reasons) == (["video_folder/all/a"] if words else [])
        assert (words or "") in "".join(reasons.values())

    def test_a_folder_of_clips(self, tmp_path: Path) -> None:
        for name in ("train/up/a.mp4", "train/down/b.webm", "train/down/c", "val/up/a.avi", "train/up/a.webm"):
            video_sets.clip(tmp_path / name)
        (tmp_path / "train/up/readme.txt").write_text("not a clip")
        assert datasets.reader("video_folder")("mine", tmp_path).splits() == ("train", "val")
        samples = sound_samples("video_folder", tmp_path, "train")
        assert [(sample.id, sample.annotations["class"]) for sample in samples] == [
            ("video_folder/train/down/b", {"name": "down", "id": 0}),
            ("video_folder/train/down/c", {"name": "down", "id": 0}),
            ("video_folder/train/up/a.mp4", {"name": "up", "id": 1}),
            ("video_folder/train/up/a.webm", {"name": "up", "id": 1}),
        ]
        assert broken("video_folder", tmp_path, "train") == {}

    def test_links_to_folders_are_told(self, tmp_path: Path) -> None:
        video_sets.clip(tmp_path / "root/up/a.mp4")
        (tmp_path / "root/down").symlink_to(tmp_path / "root/up")
        reasons = broken("video_folder", tmp_path / "root", "all")
        assert "is a link to a folder, which is not followed" in reasons["video_folder/all/down"]


def test_a_class_of_clips_has_one_number_in_all_splits(tmp_path: Path) -> None:
    for name in ("train/jump/a", "train/run/b", "val/run/c", "val/sit/d"):
        video_sets.frame_folder(tmp_path / name, 2, "{}.png")
    reader = datasets.reader("video_folder")("mine", tmp_path)
    records = [record for split in ("val", "train") for record in reader.samples(split)]
    assert {
        (record.sample.split, *record.sample.annotations["class"].values())
        for record in records
        if isinstance(record, RawSample)
    } == {("train", "jump", 0), ("train", "run", 1), ("val", "run", 1), ("val", "sit", 2)}
