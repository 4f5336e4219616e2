"""Readouts through an extraction, against a straightforward computation with the real processor and model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.rerun import rerun
from foresight_cache.points import Point, resolve
from foresight_cache.samples import Sample
from foresight_cache.shards import ShardSet, open_shards, read_shard, write_shard
from foresight_cache.verify import verify
from tests.support.preparing import prepare

QUESTIONS = ["Is there a red disc?", "How many?", "", "Where is the square, and what is left of it?"]
"""The third is missing."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Synthetic scenes with a question each, of different lengths."""
    folder = tmp_path_factory.mktemp("questions")
    prepare("shapes", out=folder / "S", limit=4, samples_per_shard=4)
    plain = open_shards(folder / "S")
    content = [
        (with_question(sample, text), media)
        for (sample, media), text in zip(read_shard(plain, 0), QUESTIONS, strict=True)
    ]
    (folder / "Q").mkdir()
    written = write_shard(folder / "Q", 0, 0, content)
    return replace(plain, path=folder / "Q", shards=(written,))


def with_question(sample: Sample, text: str) -> Sample:
    return replace(
        sample,
        annotations={
            **sample.annotations,
            **({"qa": {"question": text, "answer": None, "hallucinated": None}} if text else {}),
        },
    )


def load(model: str) -> Encoder:
    return encoders.load(model, LoadOptions(dtype="float32", device="cpu", prompt="{question}"))


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Eight layers, of which HALP takes five."""
    from foresight_cache.encoders.qwen2_5_vl import Family

    config, processor = Family.tiny()
    config.text_config.num_hidden_layers = 8
    config.text_config.layer_types = ["full_attention"] * 8
    path = tmp_path_factory.mktemp("models") / "deep"
    config.save_pretrained(path)
    processor.save_pretrained(path)
    return f"random:{path}"


def options(encoder: Encoder, *points: str, size: str = "112") -> ExtractionOptions:
    resolved = resolve(points, [tap.name for tap in encoder.taps])
    return ExtractionOptions(points=resolved, inputs=InputSpec(size=InputSize.parse(size)))


@pytest.fixture(scope="module")
def halp(shards: ShardSet, deep: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoder = load(deep)
    path = tmp_path_factory.mktemp("halp") / "C"
    extract(shards, encoder, options(encoder, "halp", "E5", "llm.layer_08"), path)
    return path


def test_halp_gives_its_vectors_equal_to_a_straightforward_computation(halp: Path, deep: str) -> None:
    cache, encoder = open_cache(halp), load(deep)
    pooled = [point for point in cache.points if "@" in point]
    layers = ("01", "03", "05", "07", "08")  # first, after a quarter, half and three quarters, last
    assert pooled == [
        *("vit.pre_merge@mean", "vit.post_merge@mean"),
        *(f"llm.layer_{layer}@{readout}" for layer in layers for readout in ("last_vision", "last_query")),
    ]
    assert len(pooled) == 12
    for index in (0, 1, 3):
        pixels = cache["pixels"].grid(index).astype(np.uint8)
        expected = by_hand(encoder, pixels[0], QUESTIONS[index])
        for point in pooled:
            assert cache[point][index].shape == (1, 64 if point == "vit.pre_merge@mean" else 128)
            torch.testing.assert_close(
                torch.from_numpy(cache[point][index][0]), expected[point], rtol=1e-4, atol=1e-4, msg=point
            )


@torch.no_grad()
def by_hand(encoder: Any, image: np.ndarray, question: str) -> dict[str, torch.Tensor]:
    """One sample, the whole conversation, `output_hidden_states`, and plain indexing."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    text = encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    inputs = encoder.processor(text=[text], images=[image], do_resize=False, return_tensors="pt")
    layers: dict[str, torch.Tensor] = {}
    for number, layer in enumerate(encoder.model.model.language_model.layers, start=1):
        layer.register_forward_hook(
            lambda _module, _args, output, number=number: layers.__setitem__(f"llm.layer_{number:02d}", output[0])
        )
    encoder.model(**inputs, use_cache=False)
    before: list[torch.Tensor] = []
    visual = encoder.model.model.visual
    handle = visual.merger.register_forward_pre_hook(lambda _module, arguments: before.append(arguments[0]))
    merged = visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output
    last_vision = max(
        position for position, token in enumerate(inputs["input_ids"][0]) if token == encoder.config.image_token_id
    )
    handle.remove()
    vectors = {"vit.pre_merge@mean": before[0].mean(0), "vit.post_merge@mean": merged.mean(0)}
    for name, states in layers.items():
        vectors |= {f"{name}@last_vision": states[last_vision], f"{name}@last_query": states[-1]}
    return vectors


def test_a_sample_without_question_is_quarantined_with_the_reason(halp: Path) -> None:
    row = open_cache(halp).rows[2]
    assert row["status"] == "bad"
    assert row["reason"] == "the sample has no question, which the prompt '{question}' asks for"


def test_pooled_points_are_one_token_for_every_reader(halp: Path) -> None:
    cache = open_cache(halp)
    point = cache["llm.layer_08@last_query"]
    assert point.shape == (4, 1, 128)
    assert tuple(point.grid_of(0)) == (1, 1, 1)
    assert cache.rows[0].keys() == open_cache(halp).rows[2].keys()
    stored = zarr.open_group(halp, mode="r")["llm.layer_08@last_query"]
    np.testing.assert_array_equal(stored[3, 0], point[3][0])
    array = point.to_xarray()
    assert array.dims == ("sample", "token", "channel"), "one vector for a whole sample lies nowhere"
    np.testing.assert_array_equal(array[1, 0].values, point[1][0])
    assert cache["vit.post_merge@mean"].to_xarray().dims == ("sample", "token", "channel")
    together = cache.to_xarray("vit.post_merge@mean")
    assert together["vit.post_merge@mean"].dims == ("sample", "pooled", "language_channel")
    assert verify(cache) == []


def test_pooled_points_agree_with_the_tokens_that_they_are_of(halp: Path) -> None:
    cache = open_cache(halp)
    for index in (0, 1, 3):
        np.testing.assert_allclose(
            cache["vit.post_merge@mean"][index][0], cache["vit.post_merge"][index].mean(0), atol=1e-6
        )
        np.testing.assert_array_equal(cache["llm.layer_08@last_vision"][index][0], cache["llm.layer_08"][index][-1])


def test_a_second_run_changes_no_byte(shards: ShardSet, halp: Path, deep: str) -> None:
    encoder = load(deep)
    before = {path: path.read_bytes() for path in halp.rglob("*") if path.is_file()}
    extract(shards, encoder, options(encoder, "halp", "E5", "llm.layer_08"), halp)
    assert {path: path.read_bytes() for path in halp.rglob("*") if path.is_file()} == before


def test_a_cache_with_questions_can_be_extracted_again(halp: Path, deep: str) -> None:
    differences = rerun(open_cache(halp), load(deep), 3)
    assert {row.point for row in differences} >= {"llm.layer_01@last_query", "vit.post_merge@mean"}
    assert max(row.relative for row in differences) < 1e-5


@pytest.mark.parametrize("size", ["native", "112"])
def test_a_mean_in_bfloat16_is_accumulated_in_float32(shards: ShardSet, tmp_path: Path, size: str) -> None:
    encoder = encoders.load("tiny:qwen2_vl", LoadOptions(dtype="bfloat16", device="cpu"))
    extract(shards, encoder, options(encoder, "vit.block_02", "vit.block_02@mean", size=size), tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    for index in range(4):
        exact = cache["vit.block_02"][index].astype(np.float64).mean(0)
        stored = cache["vit.block_02@mean"][index][0]
        np.testing.assert_allclose(stored, exact, rtol=2**-8, atol=1e-6)  # half a unit in the last place of bfloat16


def test_class_tokens_are_those_of_the_model(shards: ShardSet, tmp_path: Path) -> None:
    encoder: Any = load("tiny:dinov2")
    extract(shards, encoder, options(encoder, "vit.block_*@cls", "vit.final_norm@cls"), tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    image = cache["pixels"].grid(1)[0].astype(np.uint8)
    pixels = encoder.processor(image, do_resize=False, do_center_crop=False, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        outputs = encoder.model(pixels, output_hidden_states=True)
    expected = {f"vit.block_{k:02d}@cls": state[0, 0] for k, state in enumerate(outputs.hidden_states) if k}
    expected["vit.final_norm@cls"] = outputs.pooler_output[0]
    assert cache.points == (*expected, "pixels")
    for point, vector in expected.items():
        torch.testing.assert_close(torch.from_numpy(cache[point][1][0]), vector, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "point", "message"),
    [
        ("qwen2_vl", "vit.pre_merge@last_query", "the prompt's tokens exist at llm.\\* taps only"),
        ("qwen2_vl", "vit.pre_merge@cls", "a class token is there at no tap of qwen2_vl"),
        ("siglip", "vit.pre_merge@cls", "a class token is there at no tap of siglip"),
        ("clip", "vit.patch_embed@cls", "a class token is there at vit.block_01, .*, vit.pre_merge"),
    ],
)
def test_a_readout_that_a_tap_cannot_have_is_refused(
    shards: ShardSet, tmp_path: Path, family: str, point: str, message: str
) -> None:
    encoder = load(f"tiny:{family}")
    with pytest.raises(UsageError, match=f"{point} is not possible: {message}"):
        extract(shards, encoder, options(encoder, point), tmp_path / "C")
    assert not (tmp_path / "C").exists()


def test_last_query_needs_the_text(shards: ShardSet) -> None:
    encoder = load("tiny:qwen3_vl")
    inputs = encoder.preprocess([np.zeros((1, 64, 64, 3), np.uint8)], "image")
    with pytest.raises(UsageError, match="needs inputs with texts"):
        encoder.forward(inputs, [str(Point("llm.layer_01", "last_query"))])
