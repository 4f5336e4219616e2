"""When the frames of a clip are shown, as models are told it; held to their own processors and to times by hand."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.rerun import rerun
from foresight_cache.points import Point
from foresight_cache.reader import Cache
from foresight_cache.shards import ShardSet, open_shards
from foresight_cache.verify import verify
from tests.support.extracting import extraction_options
from tests.support.made_clips import counting, encode, number_in, numbered
from tests.support.preparing import prepare

TOLD = {"qwen2_5_vl": 28, "qwen3_vl": 32}
"""Families that are told the time, each with a side in pixels that it takes."""


def tiny(family: str) -> Any:
    return encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu"))


def shards(folder: Path, **files: bytes) -> ShardSet:
    """Clips by name, in the container that ends it."""
    (folder / "raw").mkdir()
    for name, data in files.items():
        (folder / "raw" / name.replace("_", ".")).write_bytes(data)
    prepare("video-folder", root=folder / "raw", out=folder / "S")
    return open_shards(folder / "S")


def told(clips: ShardSet, family: str, out: Path, frames: int, **how: Any) -> tuple[Cache, Any, list[dict[str, Any]]]:
    """The cache of one batch per clip, its encoder, and what went into the model."""
    encoder, seen = tiny(family), []

    def forward(inputs: Any, points: Any) -> Any:
        seen.append(dict(inputs))
        return encoder.forward(inputs, points)

    size = str(2 * TOLD[family])
    options = extraction_options([Point("llm.layer_02")], size, frames=frames, batch_tokens=1, **how)
    extract(clips, encoder, options, out, forward=forward)
    assert verify(open_cache(out)) == []
    return open_cache(out), encoder, seen


def own(encoder: Any, cache: Cache, index: int) -> dict[str, Any]:
    """What the model's own processor makes of the frames, their numbers, and the clip's rate and length."""
    row, turn = cache.rows[index], {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "x"}]}
    metadata = {
        "fps": row["frames_per_second"],
        "total_num_frames": row["frames"],
        "frames_indices": list(row["frame_indices"]),
    }
    return encoder.processor(
        text=[encoder.processor.apply_chat_template([turn], tokenize=False)],
        videos=[torch.from_numpy(cache["pixels"].grid(index).astype(np.uint8)).permute(0, 3, 1, 2)],
        videos_kwargs={"do_resize": False, "do_sample_frames": False, "video_metadata": [metadata]},
        return_tensors="pt",
    )


@pytest.mark.parametrize("frames", [8, 5, 3, 1])
@pytest.mark.parametrize("family", TOLD)
def test_times_are_the_processors_own_of_the_same_frames(family: str, frames: int, tmp_path: Path) -> None:
    """Constant rates in three containers, one of which rounds times to milliseconds; frames that are left out."""
    clips = shards(
        tmp_path,
        a_mp4=counting(16, "mp4", rate=24),
        b_webm=counting(30, "webm", rate=30),
        c_avi=counting(8, "avi", rate=1),
        d_mp4=counting(50, "mp4", rate=60),
    )
    cache, encoder, seen = told(clips, family, tmp_path / "C", frames)
    assert cache.samples["frames_per_second"].tolist() == pytest.approx([24, 30, 1, 60], abs=0.2)
    for index, inputs in enumerate(seen):
        theirs, mine = own(encoder, cache, index), inputs["input_ids"][0].tolist()
        assert mine == theirs["input_ids"][0].tolist()[: len(mine)]
        if family == "qwen2_5_vl":
            expected = torch.as_tensor(theirs["second_per_grid_ts"])
            assert torch.equal(inputs["second_per_grid_ts"], expected)
            row = cache.rows[index]
            by_hand = 2 * row["frames"] / frames / row["frames_per_second"]
            assert expected.item() == pytest.approx(by_hand, rel=1e-5)


def timestamps(encoder: Any, inputs: Any) -> list[float]:
    text = encoder.processor.tokenizer.decode(inputs["input_ids"][0])
    return [float(seconds) for seconds in re.findall(r"<(\d+\.\d) seconds>", text)]


TIMES = [0, 100, 200, 300, 1500, 3000, 3100, 4000]
"""Milliseconds at which the frames of a clip of a variable rate are shown."""


def test_timestamps_of_a_variable_rate_are_when_frames_are_shown(tmp_path: Path) -> None:
    clips = shards(tmp_path, a_mp4=counting(8, "mp4", times=TIMES))
    cache, encoder, (inputs,) = told(clips, "qwen3_vl", tmp_path / "C", 8)
    means = [(0 + 0.1) / 2, (0.2 + 0.3) / 2, (1.5 + 3) / 2, (3.1 + 4) / 2]
    assert timestamps(encoder, inputs) == [float(f"{seconds:.1f}") for seconds in means]
    assert cache.rows[0]["frame_times"] == pytest.approx([time / 1000 for time in TIMES], abs=1e-4)
    assert [found.absolute for found in rerun(cache, encoder, 1)] == [0.0]


def test_a_variable_rate_has_the_mean_time_between_steps(tmp_path: Path) -> None:
    """Of eight frames in 4 s, from first to last, four are taken: two of them cover 2 · (8 / 4) frames of 4/7 s."""
    clips = shards(tmp_path, a_mp4=counting(8, "mp4", times=TIMES))
    _, _, (inputs,) = told(clips, "qwen2_5_vl", tmp_path / "C", 4)
    assert inputs["second_per_grid_ts"].tolist() == pytest.approx([2 * 2 * 4 / 7], rel=1e-3)


@pytest.mark.parametrize("family", TOLD)
def test_a_slow_clip_is_not_a_fast_one(family: str, tmp_path: Path) -> None:
    frames = [numbered(number) for number in range(8)]
    files = {
        f"{name}_webm": encode(frames, "webm", rate=rate, options={"lossless": "1"})
        for name, rate in (("slow", 1), ("fast", 8))
    }
    cache, *_ = told(shards(tmp_path, **files), family, tmp_path / "C", 8)
    np.testing.assert_array_equal(cache["pixels"][0], cache["pixels"][1])
    assert np.abs(cache["llm.layer_02"][0] - cache["llm.layer_02"][1]).max() > 1e-3


@pytest.mark.parametrize("family", TOLD)
def test_where_nothing_says_the_rate_it_is_assumed_and_the_fingerprint_says_so(family: str, tmp_path: Path) -> None:
    """A folder of images; other models are told no times and assume none."""
    clip = tmp_path / "raw" / "a"
    clip.mkdir(parents=True)
    for number in range(6):
        Image.fromarray(numbered(number)).save(clip / f"{number:05d}.png")
    prepare("video-folder", root=tmp_path / "raw", out=tmp_path / "S")
    cache, encoder, (inputs,) = told(open_shards(tmp_path / "S"), family, tmp_path / "C", 4)
    assert cache.rows[0]["frames_per_second"] is None
    assert cache.rows[0]["frame_times"] is None
    assert cache.fingerprint["model"]["assumed_rate"] == 2.0
    if family == "qwen2_5_vl":
        assert inputs["second_per_grid_ts"].tolist() == [1.0]
    else:
        assert timestamps(encoder, inputs) == [0.2, 1.2]
    assert "assumed_rate" not in tiny("qwen2_vl").identity()


# Clips that are played backwards.


def numbers(cache: Cache, index: int) -> list[int]:
    return [number_in(frame.astype(np.uint8)) for frame in cache["pixels"].grid(index)]


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("twenty")
    return shards(folder, **{f"c{number:02d}_mp4": counting(10, "mp4", rate=5) for number in range(20)})


@pytest.mark.parametrize("family", TOLD)
def test_half_of_the_clips_are_played_backwards(family: str, twenty: ShardSet, tmp_path: Path) -> None:
    plain, encoder, forward = told(twenty, family, tmp_path / "C", 4)
    cache, _, seen = told(twenty, family, tmp_path / "D", 4, reverse="half")
    assert cache.fingerprint["input"]["reverse"] == "half"
    assert "reverse" not in plain.fingerprint["input"]
    assert plain.samples["reversed"].isna().all()
    assert 5 <= cache.samples["reversed"].sum() <= 15
    for index, row in enumerate(cache.rows):
        backwards = row["reversed"]
        assert numbers(cache, index) == ([8, 6, 3, 1] if backwards else [1, 3, 6, 8])
        assert list(row["frame_indices"]) == numbers(cache, index)
        assert row["frame_times"] == (0.2, 0.6, 1.2, 1.6)
        same = np.array_equal(cache["llm.layer_02"][index], plain["llm.layer_02"][index])
        assert same is not backwards
        for name in {"input_ids", "second_per_grid_ts"} & seen[index].keys():  # nothing but the frames tells
            assert torch.equal(seen[index][name], forward[index][name])
    assert max(found.absolute for found in rerun(cache, encoder, 20)) == 0.0


def test_what_was_reversed_stays_so_and_is_chosen_by_the_name(twenty: ShardSet, tmp_path: Path) -> None:
    """The rule of the documentation, in other words."""
    cache, *_ = told(twenty, "qwen2_5_vl", tmp_path / "C", 2, reverse="half")
    for row in cache.rows:
        digest = hashlib.sha256(b"reverse " + row["id"].encode()).hexdigest()
        assert row["reversed"] is (int(digest[:2], 16) % 2 == 1)


def test_images_have_no_direction_to_reverse(tmp_path: Path) -> None:
    prepare("shapes", out=tmp_path / "S", limit=2)
    options = extraction_options([Point("vit.pre_merge")], "56", reverse="half")
    with pytest.raises(UsageError, match="--reverse plays clips backwards and these shards hold images; leave it out"):
        extract(open_shards(tmp_path / "S"), tiny("qwen2_vl"), options, tmp_path / "C")
    with pytest.raises(UsageError, match="unknown choice of clips to reverse 'all'"):
        extraction_options([Point("vit.pre_merge")], "56", reverse="all")
