"""Blank pictures in the place of the images: what the model is shown, by bare arrays and by transformers alone."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from PIL import Image
from torch.testing import assert_close

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import BadSample, FingerprintMismatch, UsageError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.extraction.rerun import rerun
from foresight_cache.points import resolve
from foresight_cache.reader import Cache
from foresight_cache.shards import ShardSet, open_shards, read_shard
from foresight_cache.verify import verify
from tests.support.command import foresight, said
from tests.support.extracting import extraction_options
from tests.support.preparing import prepare

POINTS = ("vit.pre_merge", "llm.layer_02", "llm.layer_02@last_query")
SIDE = 56


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("blank")
    prepare("scene-questions", out=folder / "S", limit=6, samples_per_shard=6)
    return open_shards(folder / "S")


def tiny(family: str = "qwen2_5_vl", prompt: str = "{question}") -> Any:
    return encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu", prompt=prompt))


def extracted(shards: ShardSet, out: Path, points: tuple[str, ...] = POINTS, **how: Any) -> Cache:
    encoder = tiny()
    taps = [tap.name for tap in encoder.taps]
    size = how.pop("size", str(SIDE))
    extract(shards, encoder, extraction_options(resolve(points, taps), size, **how), out)
    assert verify(open_cache(out)) == []
    return open_cache(out)


@pytest.fixture(scope="module")
def plain(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return extracted(shards, tmp_path_factory.mktemp("plain") / "C")


@pytest.fixture(scope="module")
def grey(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return extracted(shards, tmp_path_factory.mktemp("grey") / "C", blank_image="grey")


def stored(cache: Cache, point: str) -> np.ndarray:
    """An array by zarr alone."""
    found: Any = zarr.open_group(cache.path, mode="r")[point]
    return np.asarray(found[: len(cache)])


def by_transformers(question: str, picture: Image.Image) -> torch.Tensor:
    """Hidden states [L, N, D] of one picture and question, by the processor and the model as their owners have them."""
    encoder = tiny()
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    text = encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    inputs = encoder.processor(text=[text], images=[picture], do_resize=False, return_tensors="pt")
    with torch.no_grad():
        states = encoder.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
    return torch.stack([state[0] for state in states])


def test_features_are_those_of_a_grey_picture(grey: Cache, plain: Cache) -> None:
    picture = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    for index in range(len(grey)):
        states = by_transformers(grey.rows[index]["annotations"]["qa"]["question"], picture)[2]
        last = torch.from_numpy(stored(grey, "llm.layer_02@last_query")[index])
        assert_close(last, states[-1:], rtol=1e-4, atol=1e-4)
        assert not np.allclose(last, stored(plain, "llm.layer_02@last_query")[index], rtol=1e-2, atol=1e-2)
    visual = stored(grey, "llm.layer_02")
    assert np.abs(visual - visual[:1]).max() < 1e-4, "visual tokens of a causal model see no question"


def test_everything_else_is_the_same(grey: Cache, plain: Cache) -> None:
    assert grey.rows == plain.rows
    assert list(grey.samples["id"]) == list(plain.samples["id"])
    given = dict(grey.fingerprint["input"])
    assert given.pop("blank_image") == "grey"
    assert {**grey.fingerprint, "input": given} == plain.fingerprint, "which says nothing of blank pictures"
    assert (stored(grey, "pixels") == 128).all()
    assert stored(grey, "pixels").shape == stored(plain, "pixels").shape


def test_it_does_not_grow_into_a_cache_of_pictures(shards: ShardSet, plain: Cache) -> None:
    with pytest.raises(FingerprintMismatch, match="blank_image"):
        extracted(shards, Path(plain.path), blank_image="grey")


def test_batched_equals_single_and_again(shards: ShardSet, grey: Cache, tmp_path: Path) -> None:
    single = extracted(shards, tmp_path / "G", blank_image="grey", batch_tokens=1)
    for point in POINTS:
        assert_close(stored(single, point), stored(grey, point), rtol=1e-4, atol=1e-4)
    noise, alone = (
        extracted(shards, tmp_path / str(tokens), blank_image="noise", batch_tokens=tokens) for tokens in (512, 1)
    )
    np.testing.assert_array_equal(stored(noise, "pixels"), stored(alone, "pixels"))
    for point in POINTS:
        assert_close(stored(alone, point), stored(noise, point), rtol=1e-4, atol=1e-4)
    assert max(found.relative for found in rerun(noise, tiny(), 3)) < 1e-5


def noise_of(sample_id: str, *shape: int) -> np.ndarray:
    whole = hashlib.shake_128(b"noise " + sample_id.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(whole, np.uint8).reshape(shape)


def test_noise_follows_from_the_id_alone(shards: ShardSet) -> None:
    inputs = Inputs(tiny(), extraction_options([], "56", blank_image="noise").inputs, "image")
    content = list(read_shard(shards, 0))
    pictures = [inputs.pixels(sample, members) for sample, members in reversed(content)]
    for (sample, _), picture in zip(reversed(content), pictures, strict=True):
        np.testing.assert_array_equal(picture, noise_of(sample.id, 1, SIDE, SIDE, 3))
    levels = np.bincount(np.concatenate(pictures).ravel(), minlength=256)
    assert 0.5 < levels.min() / levels.mean() < levels.max() / levels.mean() < 1.5, "uniform"


def test_a_letterbox_keeps_its_border_and_a_damaged_image_stays_bad(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    Image.new("RGB", (80, 40), "red").save(tmp_path / "raw" / "wide.png")
    prepare("image-folder", root=tmp_path / "raw", out=tmp_path / "S")
    ((sample, members),) = read_shard(open_shards(tmp_path / "S"), 0)
    inputs = Inputs(tiny(), extraction_options([], "56", blank_image="noise", fit="letterbox").inputs, "image")
    picture = inputs.pixels(sample, members)
    np.testing.assert_array_equal(picture[:, 14:42], noise_of(sample.id, 1, 28, 56, 3))
    assert (picture[:, :14] == 128).all()
    assert (picture[:, 42:] == 128).all()
    damaged = {name: bytes(data)[:-40] for name, data in members.items()}
    with pytest.raises(BadSample):
        inputs.pixels(sample, damaged)


def test_frames_of_a_clip_are_blank_too(tmp_path: Path) -> None:
    prepare("bouncing-balls", out=tmp_path / "S", limit=2)
    clips = open_shards(tmp_path / "S")
    for kind in ("grey", "noise"):
        cache = extracted(clips, tmp_path / kind, ("llm.layer_01",), blank_image=kind, frames=4)
        assert cache.fingerprint["input"]["blank_image"] == kind
        for index, row in enumerate(cache.rows):
            expected = noise_of(row["id"], 4, SIDE, SIDE, 3) if kind == "noise" else np.full((4, SIDE, SIDE, 3), 128)
            np.testing.assert_array_equal(cache["pixels"].grid(index), expected)


def test_grey_of_several_sizes_may_have_one_mean(tmp_path: Path) -> None:
    """Which in any other cache is a sign of stale outputs."""
    (tmp_path / "raw").mkdir()
    for width in (56, 112, 168):
        Image.effect_noise((width, 56), 90).convert("RGB").save(tmp_path / "raw" / f"{width}.png")
    prepare("image-folder", root=tmp_path / "raw", out=tmp_path / "S")
    points = ("vit.patch_embed@mean", "vit.patch_embed")
    cache = extracted(open_shards(tmp_path / "S"), tmp_path / "C", points, blank_image="grey", size="native")
    means = stored(cache, points[0])
    assert_close(means, np.repeat(means[:1], len(means), axis=0), rtol=1e-5, atol=1e-5)
    assert len({row["grid_pixel"] for row in cache.rows}) == 3, "sizes stay those of the pictures"


def test_the_choice_is_written_only_where_it_is_made() -> None:
    for kind in ("grey", "noise"):
        made = InputSpec(blank_image=kind)
        assert InputSpec.from_json(made.to_json("image")).blank_image == kind
        assert InputSpec.from_json(made.to_json("clip")) == made
    assert "blank_image" not in InputSpec().to_json("image") | InputSpec().to_json("clip")
    with pytest.raises(UsageError, match="unknown blank image 'black'"):
        InputSpec(blank_image="black")  # type: ignore[arg-type]


def test_where_nothing_would_be_left_to_see_it_is_refused(shards: ShardSet, tmp_path: Path) -> None:
    common = ("--size", "56", "--device", "cpu", "--out", tmp_path / "C", "--blank-image", "grey")
    for command in ("extract", "plan"):
        pure = (command, shards.path, "--model", "tiny:dinov2", "--points", "vit.*", *common)
        assert "leaves the words of the prompt alone, and dinov2 has no prompt; leave it out" in said(*pure, status=2)
        mute = (command, shards.path, "--model", "tiny:qwen2_5_vl", "--points", "E7", "--prompt", "", *common)
        assert "and --prompt is empty; leave one of them out" in said(*mute, status=2)
    assert not (tmp_path / "C").exists()


def test_the_commands_take_it_and_show_it(shards: ShardSet, tmp_path: Path) -> None:
    given = (shards.path, "--model", "tiny:qwen2_5_vl", "--points", "E7@last_query", "--prompt", "{question}")
    common = ("--size", "56", "--device", "cpu", "--out", tmp_path / "C", "--blank-image", "noise")
    assert foresight("plan", *given, *common, "--no-pilot").returncode == 0
    assert foresight("extract", *given, *common).returncode == 0
    assert "input size 56x56, noise in the place of each picture" in foresight("inspect", tmp_path / "C").stdout
