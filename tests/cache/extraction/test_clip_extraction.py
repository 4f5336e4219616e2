"""Clips from shards into a cache: as clips, as images, by the second; which frames, which grids, how many bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache import encoders, open_cache
from foresight_cache.datasets.synthetic import bouncing_balls
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import UnknownName
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.planning.extraction_plan import plan_extraction
from foresight_cache.extraction.rerun import rerun
from foresight_cache.points import Point, resolve
from foresight_cache.reader import Cache
from foresight_cache.shards import ShardSet, open_shards
from foresight_cache.verify import verify
from tests.support.extracting import extraction_options
from tests.support.made_clips import counting, number_in
from tests.support.preparing import prepare

POINTS = ("E1", "E4", "E5", "E8")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoders.load("tiny:qwen2_5_vl", LoadOptions(dtype="float32"))


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Five clips of 16 frames of 112×112 pixels."""
    out = tmp_path_factory.mktemp("balls") / "S"
    prepare("bouncing-balls", out=out, limit=5, samples_per_shard=3)
    return open_shards(out)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The same clips, read by Pillow alone."""
    root = tmp_path_factory.mktemp("raw")
    bouncing_balls.generate(root, count=5, seed=0)
    return [
        np.stack([np.asarray(Image.open(path)) for path in sorted((root / f"train/{number:06d}").iterdir())])
        for number in range(5)
    ]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Numbered clips of three codecs, lengths, sizes and rates; in one of them a frame behind the tenth is damaged."""
    raw = tmp_path_factory.mktemp("mixed") / "raw"
    (raw / "up").mkdir(parents=True)
    (raw / "up/a.mp4").write_bytes(counting(40, "mp4", rate=20))
    (raw / "up/b.webm").write_bytes(counting(5, "webm", rate=10, height=60, width=100))
    (raw / "up/c.avi").write_bytes(counting(30, "avi", rate=30))
    damaged = bytearray(counting(40, "mp4", height=120, width=160))
    place = damaged.index(b"mdat") + len(damaged) // 3
    damaged[place : place + len(damaged) // 3] = bytes(len(damaged) // 3)
    (raw / "up/d.mp4").write_bytes(damaged)
    prepare("video-folder", root=raw, out=raw.parent / "S", samples_per_shard=4)
    return open_shards(raw.parent / "S")


def options(encoder: Encoder, size: str = "112", **others: Any) -> ExtractionOptions:
    points = others.pop("points", resolve(POINTS, [tap.name for tap in encoder.taps]))
    return extraction_options(points, size, **{"batch_tokens": 300, **others})


def extracted(shards: ShardSet, encoder: Encoder, out: Path, size: str = "112", **others: Any) -> Cache:
    extract(shards, encoder, options(encoder, size, **others), out)
    assert verify(open_cache(out)) == []
    return open_cache(out)


def alone(encoder: Encoder, frames: np.ndarray, media: Any, point: str) -> np.ndarray:
    """Tokens of one input without any of our loop."""
    made = encoder.forward(encoder.preprocess([frames], media), [point])
    return made[point][0].float().numpy()


def test_a_clip_goes_through_the_video_path(
    balls: ShardSet, frames: list[np.ndarray], encoder: Encoder, tmp_path: Path
) -> None:
    """Two clips of two time steps in a batch: 8 × 8 patches, 4 × 4 merged tokens each."""
    cache = extracted(balls, encoder, tmp_path / "C", frames=4)
    assert cache["vit.pre_merge"].shape == (5, 2 * 64, 64)
    assert cache["llm.layer_04"].grid(3).shape == (2, 4, 4, 128)
    assert cache["pixels"].grid(0).shape == (4, 112, 112, 3)
    for index, row in cache.samples.iterrows():
        assert row["frame_indices"] == (2, 6, 10, 14)
        assert (row["frames"], row["frames_per_second"]) == (16, 8.0)
        sampled = frames[int(str(index))][[2, 6, 10, 14]]
        np.testing.assert_array_equal(cache["pixels"].grid(int(str(index))), sampled)
        for point in ("vit.pre_merge", "llm.layer_04"):
            found = cache[point][int(str(index))]
            np.testing.assert_allclose(found, alone(encoder, sampled, "clip", point), atol=2e-3)


def test_frames_as_images_know_of_no_other(
    balls: ShardSet, frames: list[np.ndarray], encoder: Encoder, tmp_path: Path
) -> None:
    cache = extracted(balls, encoder, tmp_path / "C", frames=3, clips_as="images")
    assert cache["llm.layer_04"].grid(1).shape == (3, 4, 4, 128)
    assert cache.fingerprint["input"]["clips_as"] == "images"
    for time, number in enumerate((2, 8, 13)):
        for point in ("vit.pre_merge", "llm.layer_04"):
            expected = alone(encoder, frames[1][number][None], "image", point)
            np.testing.assert_allclose(cache[point].grid(1)[time].reshape(expected.shape), expected, atol=2e-3)


def test_frames_as_images_of_one_prompt(
    balls: ShardSet, frames: list[np.ndarray], encoder: Encoder, tmp_path: Path
) -> None:
    """The first frame knows of no other, the later ones do; the prompt's end has seen them all."""
    points = ("vit.pre_merge", "llm.layer_04", "llm.layer_04@last_query")
    cache = extracted(
        balls, encoder, tmp_path / "C", frames=3, clips_as="prompt", points=tuple(map(Point.parse, points))
    )
    assert cache["llm.layer_04"].grid(1).shape == (3, 4, 4, 128)
    sampled = [clip[[2, 8, 13]] for clip in frames]
    expected = encoder.forward(encoder.preprocess(sampled, "images", [encoder.options.prompt] * 5), points)
    for point in points:
        for number in range(5):
            np.testing.assert_allclose(cache[point][number], expected[point][number].numpy(), atol=2e-3)
    alone_first = alone(encoder, frames[1][2][None], "image", "llm.layer_04")
    first, *later = (cache["llm.layer_04"].grid(1)[time].reshape(alone_first.shape) for time in range(3))
    np.testing.assert_allclose(first, alone_first, atol=2e-3)
    for found, number in zip(later, (8, 13), strict=True):
        assert np.abs(found - alone(encoder, frames[1][number][None], "image", "llm.layer_04")).max() > 0.05


def test_an_odd_number_of_frames_fills_the_last_time_step(
    balls: ShardSet, frames: list[np.ndarray], encoder: Encoder, tmp_path: Path
) -> None:
    cache = extracted(balls, encoder, tmp_path / "C", frames=3)
    assert cache["vit.patch_embed"].grid(0).shape == (2, 8, 8, 64)
    assert cache["pixels"].grid(0).shape[0] == 3
    repeated = frames[0][[2, 8, 13, 13]]
    np.testing.assert_allclose(
        cache["vit.patch_embed"][0], alone(encoder, repeated, "clip", "vit.patch_embed"), atol=2e-3
    )


@pytest.mark.parametrize("clips_as", ["video", "images", "prompt"])
def test_frames_by_the_second(mixed: ShardSet, encoder: Encoder, tmp_path: Path, clips_as: str) -> None:
    """2 s at 20, half a second at 10 and 1 s at 30 per second, three of each second, at most five; one is damaged."""
    cache = extracted(
        mixed, encoder, tmp_path / "C", "56", frames=5, frames_per_second=3.0, clips_as=clips_as, batch_tokens=40
    )
    rows = {row["id"].split("/")[-1]: index for index, row in enumerate(cache.rows)}
    assert [cache.rows[rows[name]]["status"] for name in "abcd"] == ["ok", "ok", "ok", "bad"]
    expected = {"a": (4, 12, 20, 28, 36), "b": (1, 3), "c": (5, 15, 25)}
    for name, wanted in expected.items():
        index = rows[name]
        assert cache.rows[index]["frame_indices"] == wanted
        assert [number_in(pixels) for pixels in cache["pixels"].grid(index)] == list(wanted)
        steps = -(-len(wanted) // 2) if clips_as == "video" else len(wanted)
        assert cache["vit.post_merge"].grid_of(index) == (steps, 2, 2)
    assert all(row.absolute == 0 for row in rerun(cache, encoder, 3))


def test_a_clip_that_cannot_be_decoded_is_quarantined_alone(mixed: ShardSet, encoder: Encoder, tmp_path: Path) -> None:
    cache = extracted(mixed, encoder, tmp_path / "C", "56", frames=8, batch_tokens=1000)
    bad = [row for row in cache.rows if row["status"] == "bad"]
    assert [row["id"] for row in bad] == ["video-folder/all/up/d"]
    assert bad[0]["reason"].startswith("frame ")
    assert "of 40 cannot be decoded" in bad[0]["reason"]
    assert cache.rows[1]["frame_indices"] == (0, 0, 1, 2, 2, 3, 4, 4), "eight of five"


def test_native_sizes_keep_the_aspect_ratio_of_clips(mixed: ShardSet, encoder: Encoder, tmp_path: Path) -> None:
    cache = extracted(mixed, encoder, tmp_path / "C", "native", frames=2)
    assert [row["grid_pixel"] for row in cache.rows[:3]] == [(2, 280, 392), (2, 252, 420), (2, 280, 392)]


@pytest.mark.parametrize(
    "how", [{}, {"frames_per_second": 3.0}, {"clips_as": "images"}, {"clips_as": "prompt"}, {"size": "native"}]
)
def test_a_plan_of_clips_is_what_is_then_written(
    balls: ShardSet, encoder: Encoder, tmp_path: Path, how: dict[str, Any]
) -> None:
    wanted = options(encoder, **{"frames": 5, **how})
    planned = plan_extraction(balls, encoder, wanted, tmp_path / "C")
    assert planned.pilot is not None
    extract(balls, encoder, wanted, tmp_path / "C")
    for point in planned.points:
        written = sum(path.stat().st_size for path in (tmp_path / "C" / point.name).rglob("c/*/0/0"))
        assert written == point.bytes, point.name
        cached = open_cache(tmp_path / "C")[point.name]
        assert point.tokens == cached.grid_of(0).tokens


def test_batches_keep_within_the_budget(
    balls: ShardSet, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip of four frames has 2 × 64 patch tokens, as images 4 × 64: two or one in 300."""
    seen: list[int] = []
    preprocess = encoder.preprocess

    def counted(clips: Any, *others: Any) -> Any:
        seen.append(len(clips))
        return preprocess(clips, *others)

    monkeypatch.setattr(encoder, "preprocess", counted)
    extracted(balls, encoder, tmp_path / "C", frames=4)
    assert sorted(seen) == [1, 2, 2]
    seen.clear()
    extracted(balls, encoder, tmp_path / "D", frames=4, clips_as="images")
    assert seen == [4] * 5, "images of one clip each"


def test_annotations_and_motion_travel_along(balls: ShardSet, encoder: Encoder, tmp_path: Path) -> None:
    cache = extracted(balls, encoder, tmp_path / "C", frames=2)
    for row in cache.rows:
        for thing in row["annotations"]["motion"]["objects"]:
            assert len(thing["positions"]) == 16


def test_an_unknown_way_to_take_clips(encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match="unknown way to take clips 'image'; did you mean 'images'"):
        options(encoder, clips_as="image")
