"""LLaVA's and InternVL's models run by hand: loops, the real processors with their tiles, the model's own calls."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from foresight_cache.samples import Media


def full_attention(encoder: Any) -> Any:
    return nullcontext()


def kind_of(encoder: Any, clip: np.ndarray, media: Media) -> Media:
    """Returns the media that the prompt speaks of: a clip of one frame is an image to LLaVA-OneVision."""
    return media if len(clip) > 1 or is_internvl(encoder) else "image"


def has_tiles(encoder: Any, kind: Media) -> bool:
    """Returns True where the processor has tokens of tiles, or a newline, after those of the view."""
    return not is_internvl(encoder) and (kind == "image" or encoder.family == "llava_onevision")


def is_internvl(encoder: Any) -> bool:
    return encoder.family == "internvl"


def inputs(encoder: Any, clips: Sequence[np.ndarray], media: Media, texts: Sequence[str]) -> Any:
    """Returns what the real processor makes of conversations about these clips, tiles and all."""
    kind = "image" if media == "image" else "video"
    turns = [{"role": "user", "content": [{"type": kind}, {"type": "text", "text": words}]} for words in texts]
    prompts = [
        encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True) for turn in turns
    ]
    media_arguments: dict[str, Any] = (
        {"images": [clip[0] for clip in clips]} if media == "image" else {"videos": list(clips)}
    )
    if is_internvl(encoder) and media == "image":
        media_arguments["crop_to_patches"] = False
    if encoder.family == "llava_next_video" and media == "clip":
        media_arguments["do_center_crop"] = False
    return encoder.processor(
        text=prompts,
        **media_arguments,
        do_resize=not is_internvl(encoder),
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )


@torch.no_grad()
def merge(encoder: Any, tokens_THWD: torch.Tensor) -> torch.Tensor:
    """Applies the projector to each token or square of tokens, then what pooling there is, in raster order."""
    projector = encoder.model.model.multi_modal_projector
    steps, height, width = tokens_THWD.shape[:3]
    if is_internvl(encoder):
        squares = [
            torch.cat([tokens_THWD[t, 2 * y + dy, 2 * x + dx] for dy in (0, 1) for dx in (0, 1)])
            for t in range(steps)
            for y in range(height // 2)
            for x in range(width // 2)
        ]
        return projector(torch.stack(squares))
    if encoder.family == "llava_next_video":
        if steps > 1:  # the mean of each square
            tokens_THWD = tokens_THWD.unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).mean((2, 4))
        return projector(tokens_THWD).flatten(0, 2)
    projected = projector(tokens_THWD)
    return (projected if steps == 1 else torch.stack([_pooled(frame) for frame in projected])).flatten(0, 2)


def _pooled(frame_HWD: torch.Tensor) -> torch.Tensor:
    """Resizes bilinearly to half the rows and columns, rounded up; cell i has its centre at (i + ½) · n / m - ½."""

    def along(length: int) -> list[tuple[int, int, float]]:
        half = -(-length // 2)
        centres = [max(0.0, (cell + 0.5) * length / half - 0.5) for cell in range(half)]
        return [(int(centre), min(int(centre) + 1, length - 1), centre % 1) for centre in centres]

    rows = [(1 - part) * frame_HWD[low] + part * frame_HWD[high] for low, high, part in along(len(frame_HWD))]
    return torch.stack(
        [
            torch.stack([(1 - part) * row[low] + part * row[high] for low, high, part in along(frame_HWD.shape[1])])
            for row in rows
        ]
    )


@torch.no_grad()
def own_merged(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> list[torch.Tensor]:
    """Returns what the model itself gives its language model; of tiled images the view of the whole, which is first."""
    return [_own_merged(encoder, clip, kind_of(encoder, clip, media)) for clip in clips]


def _own_merged(encoder: Any, clip: np.ndarray, media: Media) -> torch.Tensor:
    model, prepared = encoder.model.model, inputs(encoder, [clip], media, [""])
    if is_internvl(encoder):
        return model.get_image_features(prepared["pixel_values"]).pooler_output.flatten(0, 1)
    if media == "clip":  # a newline follows in some versions of transformers
        features = model.get_video_features(prepared["pixel_values_videos"]).pooler_output.flatten(0, 1)
    else:
        features = model.get_image_features(prepared["pixel_values"], prepared["image_sizes"]).pooler_output[0]
    return features[: encoder.grid("merged", *clip.shape[:3]).tokens]


@torch.no_grad()
def tower_without_windows(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> dict[str, list[torch.Tensor]]:
    """Returns the tower's own `output_hidden_states`, without the class token, for the real processor's pixels."""
    taps: dict[str, list[torch.Tensor]] = {}
    for clip in clips:
        kind = kind_of(encoder, clip, media)
        prepared = inputs(encoder, [clip], kind, [""])
        pixels = prepared["pixel_values"] if "pixel_values" in prepared else prepared["pixel_values_videos"]
        frames = pixels if is_internvl(encoder) else pixels[0] if kind == "clip" else pixels[0, :1]
        states = encoder.model.model.vision_tower(frames, output_hidden_states=True).hidden_states
        count = encoder.grid("patch", *clip.shape[:3])
        tokens = [state[:, -count.h * count.w :].flatten(0, 1) for state in states]
        names = {f"vit.block_{number:02d}": block for number, block in enumerate(tokens) if number}
        names["vit.pre_merge"] = tokens[encoder.model.config.vision_feature_layer]
        for name, value in names.items():
            taps.setdefault(name, []).append(value)
    return taps


@torch.no_grad()
def hidden_states(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> list[list[torch.Tensor]]:
    """Returns `output_hidden_states` at the first visual tokens of each sample, before any tiles."""
    states = [_hidden_states(encoder, clip, kind_of(encoder, clip, media)) for clip in clips]
    return [list(layer) for layer in zip(*states, strict=True)]


def _hidden_states(encoder: Any, clip: np.ndarray, media: Media) -> list[torch.Tensor]:
    prepared = inputs(encoder, [clip], media, [encoder.options.prompt])
    outputs = encoder.model(**prepared, output_hidden_states=True, use_cache=False)
    config = encoder.model.config
    ids = torch.tensor([config.image_token_id, getattr(config, "video_token_id", config.image_token_id)])
    positions = torch.isin(prepared["input_ids"][0], ids).nonzero()[:, 0][
        : encoder.grid("merged", *clip.shape[:3]).tokens
    ]
    return [state[0, positions] for state in outputs.hidden_states]


@torch.no_grad()
def final_norm(encoder: Any, tokens_ND: torch.Tensor) -> torch.Tensor:
    return encoder.model.model.language_model.norm(tokens_ND)
