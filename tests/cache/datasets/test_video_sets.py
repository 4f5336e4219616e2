"""Video sets from their published layouts all the way to a cache."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import open_cache
from tests.support import video_sets
from tests.support.command import foresight, said
from tests.support.made_clips import number_in


def through(dataset: Path | str, root: Path, out: Path, frames: int = 4) -> Path:
    """prepare, extract and verify as a user runs them."""
    run = foresight("prepare", dataset, "--root", root, "--out", out / "S")
    assert run.returncode == 0, run.stderr
    points = ("--points", "E1,E5", "--size", "56", "--frames", frames)
    run = foresight("extract", out / "S", "--model", "tiny:qwen2_5_vl", *points, "--out", out / "C")
    assert run.returncode == 0, run.stderr
    run = foresight("verify", out / "C", "--rerun", 2)
    assert run.returncode == 0, run.stdout
    return out / "C"


def manifest(family: str, folder: Path) -> Path:
    """The family's own manifest for a part of the set, which is not counted."""
    path = folder / f"{family}.yaml"
    kinds = {"ssv2": "action", "ucf101": "action", "davis2017": "labels"}
    text = f"name: {family}\ntitle: a\nfamily: {family}\nmedia: clip\nlicence: a\nobtain: a\n"
    path.write_text(f"{text}annotations: [{kinds[family]}]\n")
    return path


@pytest.mark.parametrize(
    ("family", "make", "samples"),
    [("ssv2", video_sets.ssv2, 7), ("davis2017", video_sets.davis, 2), ("ucf101", video_sets.ucf101, 24)],
)
def test_each_set_goes_all_the_way(tmp_path: Path, family: str, make: Callable[[Path], Path], samples: int) -> None:
    cache = open_cache(through(manifest(family, tmp_path), make(tmp_path / "raw"), tmp_path))
    assert len(cache) == samples
    for index, row in enumerate(cache.rows):
        assert row["status"] == "ok"
        assert cache["vit.post_merge"].grid_of(index) == (2, 2, 2)
        assert [number_in(pixels) for pixels in cache["pixels"].grid(index)] == list(row["frame_indices"])


def test_masks_follow_their_frames(tmp_path: Path) -> None:
    """Frame 2 has no mask: it is background. 48×64 becomes 56×56, each pixel with the label at its centre."""
    root = video_sets.davis(tmp_path / "raw")
    (root / "DAVIS/Annotations/480p/bear/00002.png").unlink()
    cache = open_cache(through(manifest("davis2017", tmp_path), root, tmp_path, frames=5))
    labels = cache["labels"].grid(0)
    assert labels.shape == (5, 56, 56, 1)
    rows, columns = ((np.arange(56) + 0.5) * 48 / 56).astype(int), ((np.arange(56) + 0.5) * 64 / 56).astype(int)
    for number in range(5):
        mask = np.asarray(video_sets.davis_mask(number)) * (number != 2)
        np.testing.assert_array_equal(labels[number, :, :, 0], mask[np.ix_(rows, columns)])


def test_the_real_clips_go_all_the_way(assets: Path, tmp_path: Path) -> None:
    cache = open_cache(through("video-folder", assets / "data/videos", tmp_path, frames=6))
    facts = {row["id"].split("/")[-1]: (row["frames"], row["frames_per_second"]) for row in cache.rows}
    assert facts == {
        "bikes": (250, 25.0),
        "carphone_pristine": (120, 29.97),
        "demo_demo": (280, 28.0),
        "tree": (68, 2.269),
    }
    assert cache["vit.patch_embed"].shape == (4, 3 * 16, 64)
    assert cache.rows[0]["frame_indices"] == (20, 62, 104, 145, 187, 229)


def test_too_many_bad_clips_fail_the_preparation(tmp_path: Path) -> None:
    root = video_sets.ssv2(tmp_path / "raw")
    (root / "20bn-something-something-v2/102.webm").write_bytes(b"")
    own = manifest("ssv2", tmp_path)
    text = said("prepare", own, "--root", root, "--split", "train", "--out", tmp_path / "S", status=1)
    assert "1 of 3 samples of 'ssv2' cannot be used" in text
    assert "ssv2/train/102: 20bn-something-something-v2/102.webm: the file is empty" in text
    run = foresight("prepare", own, "--root", root, "--split", "train", "--out", tmp_path / "S", "--max-bad", "0.4")
    assert run.returncode == 0
    assert "prepared: 2 of train" in run.stdout
