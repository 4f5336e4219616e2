"""Folders of frames: their order, numbers that are missing, and what lies beside the frames."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from foresight_cache.datasets.parts.frame_names import order_frames
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.media.clips import decode_clip
from foresight_cache.shards import read_shard
from tests.support import video_sets
from tests.support.command import foresight
from tests.support.made_clips import image_bytes, number_in, numbered
from tests.support.preparing import prepare, refusal


def frames(folder: Path, names: Sequence[str]) -> Path:
    """Writes frame n, whose pixels say n, under the n-th name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(image_bytes(numbered(number), "PNG" if name.endswith("png") else "JPEG"))
    return folder


class TestOrder:
    @pytest.mark.parametrize(
        "pattern",
        ["{}.jpg", "frame_{}_left.jpg", "{}-rgb.png", "clip3_t{}_v2.png", "2024 {} at home.jpg", "s01e02_{:02d}.jpg"],
    )
    def test_the_number_counts_wherever_it_stands(self, tmp_path: Path, pattern: str) -> None:
        frames(tmp_path / "in/a", [pattern.format(number) for number in range(12)])
        summary = prepare("video-folder", root=tmp_path / "in", out=tmp_path / "s")
        ((_, members),) = read_shard(summary.shards, 0)
        assert [number_in(pixels) for pixels in decode_clip(members, range(12))] == list(range(12))

    def test_times_are_in_order_and_have_no_gaps(self) -> None:
        names = ["0h59m58s.jpg", "0h59m59s.jpg", "1h0m0s.jpg", "1h0m10s.jpg", "10h0m2s.jpg"]
        order = order_frames([names[place] for place in (3, 0, 4, 2, 1)])
        assert list(order.names) == names
        order.check_gaps(constant_step=False)

    @pytest.mark.parametrize("names", [("cover.jpg", "img_1.jpg", "img_2.jpg"), ("a_1.jpg", "b_2.jpg", "a_3.jpg")])
    def test_several_patterns_have_no_order(self, names: Sequence[str]) -> None:
        with pytest.raises(BadSample, match="are named in 2 ways, such as .*, so that their order is unknown"):
            order_frames(names)

    def test_names_without_numbers_are_in_order_of_letters(self) -> None:
        assert order_frames(["b.jpg", "a.jpg", "c.jpg"]).names == ("a.jpg", "b.jpg", "c.jpg")


class TestGaps:
    """A constant step is no damage in folders of one's own; elsewhere, and for other gaps, leave is needed."""

    @pytest.mark.parametrize(("first", "step"), [(0, 5), (1, 2), (30, 30)])
    def test_a_constant_step_is_told(self, tmp_path: Path, first: int, step: int) -> None:
        frames(tmp_path / "in/every", [f"{first + step * number:05d}.jpg" for number in range(4)])
        run = foresight("prepare", "video-folder", "--root", tmp_path / "in", "--out", tmp_path / "s")
        assert run.returncode == 0
        assert f"1 folder of frames has numbers at a step, such as 'every': every {step}" in run.stdout

    @pytest.mark.parametrize("numbers", [(1, 2, 3, 5, 6), (1, 3), (0, 5, 11), (1, 2, 4, 8)])
    def test_other_gaps_need_leave(self, tmp_path: Path, numbers: Sequence[int]) -> None:
        frames(tmp_path / "in/gaps", [f"img_{number}.jpg" for number in numbers])
        error = refusal(DatasetError, dataset="video-folder", root=tmp_path / "in", out=tmp_path / "s")
        assert "frames are missing between img_" in error
        assert "accept gaps with --frame-gaps" in error
        summary = prepare("video-folder", root=tmp_path / "in", out=tmp_path / "s", frame_gaps=True)
        ((sample, _),) = read_shard(summary.shards, 0)
        assert sample.frames == len(numbers)

    def test_a_published_set_without_gaps_is_held_to_it(self, tmp_path: Path) -> None:
        root = video_sets.davis(tmp_path / "in") / "DAVIS"
        for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
            for number in (1, 3):
                (root / folder / f"480p/bear/{number:05d}.{suffix}").unlink()
        request = {"dataset": "davis2017", "root": root, "out": tmp_path / "s", "split": "train", "partial": True}
        assert "frames are missing between 00000.jpg and 00002.jpg: 1" in refusal(DatasetError, **request)
        assert prepare(request.pop("dataset"), **request, frame_gaps=True).splits == {"train": 1}


class TestBesideFrames:
    def test_flow_is_passed_over_and_told(self, tmp_path: Path) -> None:
        for prefix in ("img_", "flow_x_", "flow_y_"):
            frames(tmp_path / "in/a", [f"{prefix}{number:05d}.jpg" for number in (1, 2, 3)])
        run = foresight("prepare", "video-folder", "--root", tmp_path / "in", "--out", tmp_path / "s")
        assert run.returncode == 0
        assert "  3 taken\n  6 passed over, flow: 6 .jpg, such as a/flow_" in run.stdout

    def test_a_clip_of_nothing_but_flow(self, tmp_path: Path) -> None:
        frames(tmp_path / "in/a", [f"flow_x_{number}.jpg" for number in (1, 2, 3)])
        assert prepare("video-folder", root=tmp_path / "in", out=tmp_path / "s").splits == {"all": 1}

    @pytest.mark.parametrize("name", ["._{}", ".{}", "Thumbs.db", ".DS_Store"])
    def test_hidden_files_in_published_layouts(self, tmp_path: Path, name: str) -> None:
        root = video_sets.davis(tmp_path / "in")
        lists = [*root.rglob("*.jpg"), *root.rglob("*.png"), *root.rglob("*.txt")]
        for path in lists:
            (path.parent / name.format(path.name)).write_bytes(b"\0\5\x16\7")
        summary = prepare("davis2017", root=root, out=tmp_path / "s", partial=True)
        assert summary.splits == {"train": 1, "val": 1}
        assert summary.inventory is not None
        hidden = len({path.parent / name.format(path.name) for path in lists})
        assert summary.inventory.passed_over["hidden"].count == hidden
        assert summary.inventory.files == sum(path.is_file() for path in (root / "DAVIS").rglob("*"))

    @pytest.mark.parametrize("family", ["ssv2", "ucf101"])
    def test_hidden_clips_of_listed_sets(self, tmp_path: Path, family: str) -> None:
        root = getattr(video_sets, family)(tmp_path / "in")
        for path in [*root.rglob("*.webm"), *root.rglob("*.avi")]:
            (path.parent / f".{path.stem}.mp4").write_bytes(b"x")
            (path.parent / f"._{path.name}").write_bytes(b"x")
        summary = prepare(family, root=root, out=tmp_path / "s", partial=True)
        assert not summary.shards.quarantined


def test_hidden_labels_and_images(ade: Path, tmp_path: Path) -> None:
    for path in list(ade.rglob("ADE_*")):
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    (ade / "images/.Trash").mkdir()
    summary = prepare("ade20k", root=ade, out=tmp_path / "s", partial=True)
    assert (summary.splits, summary.shards.quarantined) == ({"validation": 3}, ())
    assert [count.listed for count in summary.counts] == [3]
