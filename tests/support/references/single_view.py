"""LLaVA 1.5, PaliGemma, Gemma 3, SmolVLM and Molmo 2 run by hand: their own processors and calls, pooling by loops."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Media


def full_attention(encoder: Any) -> Any:
    return nullcontext()


def kind_of(_encoder: Any, _clip: np.ndarray, media: Media) -> Media:
    """Returns the media that the prompt speaks of, which is always an image."""
    return media


def has_tiles(_encoder: Any, _kind: Media) -> bool:
    """Returns True where the processor has tokens of tiles after those of the view."""
    return False


def inputs(encoder: Any, clips: Sequence[np.ndarray], media: Media, texts: Sequence[str]) -> Any:
    """Returns what the real processor makes of one image and what is said of it."""
    (clip,), (words,) = clips, texts
    if encoder.family == "paligemma":
        prompt = f"<image>{words}"
    else:
        turn = {"role": "user", "content": [{"type": media}, {"type": "text", "text": words}]}
        prompt = encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    options = OPTIONS.get(encoder.family, {})
    processor = smolvlm_processor(encoder) if encoder.family == "smolvlm" else encoder.processor
    prepared = processor(text=[prompt], images=[clip[0]], do_resize=False, return_tensors="pt", **options)
    return {name: value for name, value in prepared.items() if name in GIVEN}


def smolvlm_processor(encoder: Any) -> Any:
    """SmolVLM's own processor, which spells out how many frames a video has by a package that it asks for at once."""
    from transformers.models.smolvlm import processing_smolvlm

    parts = {"image_processor": encoder.processor.image_processor, "tokenizer": encoder.processor.tokenizer}
    others = {"image_seq_len": 16, "chat_template": encoder.processor.chat_template}
    with patch.object(processing_smolvlm, "num2words", str):
        return make("SmolVLMProcessor", **parts, **others, video_processor=make("SmolVLMVideoProcessor"))


OPTIONS: dict[str, dict[str, Any]] = {
    "llava": {"do_center_crop": False},
    "smolvlm": {"do_image_splitting": False},
    "molmo2": {"max_crops": 1},
}
"""Settings with which a processor makes one view of an image that has its size."""
GIVEN = (
    *("input_ids", "attention_mask", "pixel_values", "token_type_ids"),
    *("mm_token_type_ids", "image_token_pooling", "image_grids", "image_num_crops"),
)
"""What a model is given of it: without what it should answer."""


@torch.no_grad()
def merge(encoder: Any, tokens_THWD: torch.Tensor) -> torch.Tensor:
    """Applies the projector to each token, or to the mean or all of each square of tokens, in raster order."""
    projector = encoder.model.model.get_submodule(encoder.projector_path)
    if encoder.family in ("llava", "paligemma"):
        return projector(tokens_THWD).flatten(0, 2)
    (view_HWD,) = tokens_THWD
    if encoder.family == "molmo2":
        return torch.cat([attended(projector, view_HWD[y : y + 2, x : x + 2]) for y in EVEN for x in EVEN])
    side = len(view_HWD) // 4
    squares = [view_HWD[side * y : side * y + side, side * x : side * x + side] for y in range(4) for x in range(4)]
    if encoder.family == "smolvlm":
        return projector.modality_projection(torch.stack([square.flatten() for square in squares]))
    means = torch.stack([square.reshape(side * side, -1).mean(0) for square in squares])
    return projector.mm_soft_emb_norm(means) @ projector.mm_input_projection_weight


EVEN = (0, 2, 4, 6, 8)
"""First rows and columns of the squares of 2×2 patches of 9×9; the last ones have one row or column."""


def attended(projector: Any, square_HWD: torch.Tensor) -> torch.Tensor:
    """Returns what attention of the mean of a square's patches to these makes of them."""
    patches = square_HWD.flatten(0, 1)[None]
    pooled, _ = projector.image_pooling_2d(patches.mean(1, keepdim=True), patches, attention_mask=None)
    return projector.image_projector(pooled[0])


@torch.no_grad()
def own_merged(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> list[torch.Tensor]:
    """Returns what the model itself gives its language model."""
    features = []
    for clip in clips:
        prepared = inputs(encoder, [clip], media, [""])
        pixels = {name: prepared[name] for name in PIXELS if name in prepared}
        (tokens,) = encoder.model.get_image_features(**pixels).pooler_output
        features.append(tokens[: encoder.grid("merged", *clip.shape[:3]).tokens])
    return features


PIXELS = ("pixel_values", "image_token_pooling", "image_grids")
"""What the tower and the projector are given."""


@torch.no_grad()
def tower_without_windows(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> dict[str, list[torch.Tensor]]:
    """Returns the tower's own `output_hidden_states`, without the class token, for the real processor's pixels."""
    taps: dict[str, list[torch.Tensor]] = {}
    for clip in clips:
        pixels = inputs(encoder, [clip], media, [""])["pixel_values"]
        views = pixels[0] if encoder.family == "smolvlm" else pixels[:1]
        outputs = encoder.model.model.get_submodule(encoder.tower_path)(views, output_hidden_states=True)
        count = encoder.grid("patch", *clip.shape[:3]).tokens
        tokens = [state[0, -count:] for state in outputs.hidden_states]
        names = {f"vit.block_{number:02d}": block for number, block in enumerate(tokens) if number}
        selected = {"llava": tokens[-2], "molmo2": torch.cat([tokens[4], tokens[2]], dim=-1)}
        names["vit.pre_merge"] = selected.get(encoder.family, outputs.last_hidden_state[0])
        for name, value in names.items():
            taps.setdefault(name, []).append(value)
    return taps


@torch.no_grad()
def hidden_states(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> list[list[torch.Tensor]]:
    """Returns `output_hidden_states` at the visual tokens of each sample, for the whole prompt."""
    samples = []
    for clip in clips:
        prepared = inputs(encoder, [clip], media, [encoder.options.prompt])
        states = encoder.model(**prepared, output_hidden_states=True, use_cache=False).hidden_states
        visual = prepared["input_ids"][0] == encoder.model.config.image_token_id
        count = encoder.grid("merged", *clip.shape[:3]).tokens  # of the view, behind which Molmo 2 has a crop
        samples.append([state[0, visual][:count] for state in states])
    return [list(layer) for layer in zip(*samples, strict=True)]


@torch.no_grad()
def final_norm(encoder: Any, tokens_ND: torch.Tensor) -> torch.Tensor:
    return encoder.model.model.get_submodule(encoder.language_path).norm(tokens_ND)
