"""DAVIS 2017 in its published layout, and damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache import datasets
from foresight_cache.datasets import RawSample
from foresight_cache.preparation.packing import pack_sample
from tests.support import video_sets
from tests.support.reading import broken, refused, sound_samples


class TestDavis:
    def test_layout(self, tmp_path: Path) -> None:
        root = video_sets.davis(tmp_path)
        for place in (root, root / "DAVIS"):
            assert datasets.reader("davis2017")("davis2017", place).splits() == ("train", "val")
            assert [sample.id for sample in sound_samples("davis2017", place, "val")] == ["davis2017/val/blackswan"]
        record = next(iter(datasets.reader("davis2017")("davis2017", root).samples("train")))
        assert isinstance(record, RawSample)
        sample, members = pack_sample(record)
        assert (sample.width, sample.height, sample.frames, sample.frames_per_second) == (64, 48, 5, 24.0)
        assert sorted(members) == sorted([f"{n:05d}.{kind}" for n in range(5) for kind in ("jpg", "seg.png")])

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda root: (root / "Annotations/480p/bear/00009.png").write_bytes(b""), "labels 00009 are of no frame"),
            (lambda root: (root / "Annotations/480p/bear/00001.png").write_bytes(b""), "its labels (00001.seg.png)"),
            (lambda root: (root / "JPEGImages/480p/bear").rename(root / "bear"), "its frames are missing"),
            (lambda root: (root / "ImageSets/2017/train.txt").write_text("../bear\n"), "is no name of a clip"),
        ],
        ids=["stray", "empty", "missing", "leaves"],
    )
    def test_damage(self, tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
        root = video_sets.davis(tmp_path)
        damage(root / "DAVIS")
        reasons = broken("davis2017", root, "train")
        assert len(reasons) == 1
        assert words in next(iter(reasons.values()))

    def test_frames_without_masks(self, tmp_path: Path) -> None:
        root = video_sets.davis(tmp_path)
        (root / "DAVIS/Annotations/480p/bear/00002.png").unlink()
        assert broken("davis2017", root, "train") == {}

    def test_wrong_lists(self, tmp_path: Path) -> None:
        assert "is not a DAVIS folder" in refused("davis2017", tmp_path, "train")
        root = video_sets.davis(tmp_path)
        (root / "DAVIS/ImageSets/2017/train.txt").write_text("bear\nbear\n")
        assert "lists 'bear' more than once" in refused("davis2017", root, "train")
