"""Costs of extraction beside the bare forward pass of the same model, and beside the way it is usually scripted.

The model is a Qwen2.5-VL of middle size with random weights, on scenes of 448² pixels. The usual script runs one image
at a time with `output_hidden_states=True`, which computes logits, runs the vision tower again for what it returns
merged, and saves each image's tensors by `torch.save`.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foresight_cache.encoders import Encoder, LoadOptions, load
from foresight_cache.encoders.weights.tiny_models import (
    byte_tokenizer,
    make,
    qwen_language_config,
    qwen_processor,
    qwen_token_ids,
)
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.media.images import decode_image
from foresight_cache.points import resolve
from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.prepare_dataset import prepare
from foresight_cache.preparation.selection import SampleSelection
from foresight_cache.shards import ShardSet, open_shards, read_shard
from foresight_cache.shards.members import frames_of
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure, medians

TAKES_GIVEN = False
_EVERY = ("E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8")
_VISION = _EVERY[:5]
_BATCHES = (1, 4)
"""Images per batch that are tried; which is faster depends on the machine."""
_SIDE = 448

Inputs = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bench:
    folder: Path
    encoder: Encoder
    shards: ShardSet
    images: list[Any]
    """Decoded, uint8 [1, H, W, 3]."""
    batch: int

    @property
    def model(self) -> Any:
        return vars(self.encoder)["model"]

    def inputs(self, batch: int) -> list[Inputs]:
        """Returns all images in batches, preprocessed and on the device."""
        batches = [
            self.encoder.preprocess(self.images[start : start + batch], "image")
            for start in range(0, len(self.images), batch)
        ]
        return [{name: tensor.to(self.encoder.device) for name, tensor in inputs.items()} for inputs in batches]


def run(folder: Path, *, quick: bool, given: Given) -> list[Figure]:  # noqa: ARG001 - takes nothing
    """Measures for minutes on a processor.

    Writes a model of 600 MB in memory and caches of some 100 MB, one at a time.
    """
    count, repeats = (2, 3) if quick else (8, 5)
    _save_config(folder / "model")
    prepare("shapes", folder / "shards", PreparationOptions(selection=SampleSelection(limit=count)))
    shards = open_shards(folder / "shards")
    dtype: Any = "bfloat16" if torch.cuda.is_available() else "float32"
    encoder = load(f"random:{folder / 'model'}", LoadOptions(dtype=dtype))
    images = [decode_image(frames_of(members)[0])[None] for _, members in read_shard(shards, 0)]
    bench = _Bench(folder=folder, encoder=encoder, shards=shards, images=images, batch=1)
    tried = [partial(_batch_by_batch, _whole, bench, bench.inputs(batch)) for batch in _BATCHES]
    seconds = medians(tried, 2)
    fastest = _BATCHES[seconds.index(min(seconds))]
    bench = _Bench(folder=folder, encoder=encoder, shards=shards, images=images, batch=fastest)
    return [*_whole_job(bench, repeats), *_parts(bench, repeats), *_script(bench, repeats)]


def _whole_job(bench: _Bench, repeats: int) -> Iterator[Figure]:
    inputs = bench.inputs(bench.batch)
    bare, ours = medians([partial(_batch_by_batch, _whole, bench, inputs), partial(_extract, bench, _EVERY)], repeats)
    count = len(bench.images)
    yield Figure(
        name=f"throughput of extract with E1 to E8 to the bare forward pass, {bench.batch} images per batch",
        value=bare / ours,
        target=">= 0.9",
        detail=f"{count / ours:.2f} to {count / bare:.2f} images/s",
    )


def _parts(bench: _Bench, repeats: int) -> Iterator[Figure]:
    inputs = bench.inputs(bench.batch)
    middle = bench.model.config.text_config.num_hidden_layers // 2
    layer = f"llm.layer_{middle:02d}"
    vision = [tap.name for tap in bench.encoder.taps if tap.name.startswith("vit.")]
    for name, bare, points in (
        ("vit.* to the bare vision tower", _tower, vision),
        (f"{layer} to a model that ends there", _truncated, [layer]),
    ):
        alone, ours = medians(
            [partial(_batch_by_batch, bare, bench, inputs), partial(_captured, bench, inputs, points)], repeats
        )
        yield Figure(
            name=f"time of {name}", value=ours / alone, target="<= 1.03", detail=f"{ours:.2f} s to {alone:.2f} s"
        )


def _script(bench: _Bench, repeats: int) -> Iterator[Figure]:
    script, all_points, vision = medians(
        [partial(_scripted, bench), partial(_extract, bench, _EVERY), partial(_extract, bench, _VISION)], repeats
    )
    count = len(bench.images)
    for name, ours, target in (("E1 to E8", all_points, ">= 2.1"), ("E1 to E5", vision, ">= 5")):
        yield Figure(
            name=f"throughput of extract with {name} to the usual script",
            value=script / ours,
            target=target,
            detail=f"{count / ours:.2f} to {count / script:.2f} images/s",
        )


def _extract(bench: _Bench, points: Sequence[str]) -> None:
    out = bench.folder / "cache"
    shutil.rmtree(out, ignore_errors=True)
    options = ExtractionOptions(
        points=resolve(points, [tap.name for tap in bench.encoder.taps]),
        inputs=InputSpec(size=InputSize((_SIDE, _SIDE))),
        execution=Execution(batch_tokens=bench.batch * (_SIDE // 14) ** 2),
    )
    extract(bench.shards, bench.encoder, options, out)


@torch.inference_mode()
def _batch_by_batch(work: Callable[[Any, Inputs], object], bench: _Bench, inputs: Sequence[Inputs]) -> None:
    for batch in inputs:
        work(bench.model, batch)
    _wait(bench)


def _whole(model: Any, inputs: Inputs) -> None:
    model.model(**inputs, use_cache=False)


def _tower(model: Any, inputs: Inputs) -> None:
    model.model.visual(inputs["pixel_values"].to(model.dtype), grid_thw=inputs["image_grid_thw"])


def _truncated(model: Any, inputs: Inputs) -> None:
    with _half_of(model.model.language_model):
        model.model(**inputs, use_cache=False)


@contextmanager
def _half_of(language_model: Any) -> Iterator[None]:
    layers, config = language_model.layers, language_model.config
    language_model.layers = nn.ModuleList(layers[: len(layers) // 2])
    config.num_hidden_layers = len(layers) // 2
    try:
        yield
    finally:
        language_model.layers, config.num_hidden_layers = layers, len(layers)


def _captured(bench: _Bench, inputs: Sequence[Inputs], points: Sequence[str]) -> None:
    for batch in inputs:
        bench.encoder.forward(batch, points)
    _wait(bench)


@torch.inference_mode()
def _scripted(bench: _Bench) -> None:
    model = bench.model
    for number, image in enumerate(bench.images):
        inputs = {name: tensor.to(bench.encoder.device) for name, tensor in _of_one(bench, image).items()}
        output = model(**inputs, output_hidden_states=True, use_cache=False)
        merged = model.model.visual(inputs["pixel_values"].to(model.dtype), grid_thw=inputs["image_grid_thw"])
        tensors = {"hidden": [hidden.cpu() for hidden in output.hidden_states], "merged": merged.pooler_output}
        torch.save(tensors, bench.folder / f"{number}.pt")


def _of_one(bench: _Bench, image: Any) -> Inputs:
    return bench.encoder.preprocess([image], "image", ["Describe the image."])


def _wait(bench: _Bench) -> None:
    if bench.encoder.device.type == "cuda":
        torch.cuda.synchronize()


def _save_config(folder: Path) -> None:
    """Configuration and processor, without weights, of a Qwen2.5-VL-7B at a quarter of its width and depth.

    Blocks and layers have 110 M parameters. The vocabulary is the true one, as in small models of the family.
    """
    tokenizer = byte_tokenizer()
    text = qwen_language_config(tokenizer) | {"vocab_size": 152_064, "tie_word_embeddings": True}
    text |= {"hidden_size": 896, "intermediate_size": 4736, "num_hidden_layers": 7}
    text |= {"num_attention_heads": 7, "num_key_value_heads": 1}
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    config = make(
        "Qwen2_5_VLConfig",
        vision_config={
            **{"depth": 8, "hidden_size": 320, "intermediate_size": 856, "num_heads": 4, "out_hidden_size": 896},
            "fullatt_block_indexes": [1, 3, 5, 7],
            "tokens_per_second": 2,
        },
        text_config=text,
        tie_word_embeddings=True,
        **qwen_token_ids(tokenizer),
    )
    config.save_pretrained(folder)
    qwen_processor("Qwen2_5_VLProcessor", tokenizer).save_pretrained(folder)
