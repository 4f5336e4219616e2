"""Qwen's models run by hand: plain loops, crops and the model's own calls. Shares no code with the encoder's order."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from foresight_cache.samples import Media


def kind_of(_encoder: Any, _clip: np.ndarray, media: Media) -> Media:
    """Returns the media that the prompt speaks of, which is always that of the sample."""
    return media


def has_tiles(_encoder: Any, _kind: Media) -> bool:
    """Returns True where the processor has tokens of tiles after those of the view."""
    return False


@torch.no_grad()
def merge(encoder: Any, tokens_THWD: torch.Tensor) -> torch.Tensor:
    """Applies the model's merger to each 2×2 square of tokens, in raster order."""
    steps, height, width, _ = tokens_THWD.shape
    groups = [
        torch.stack([tokens_THWD[t, 2 * y + dy, 2 * x + dx] for dy in (0, 1) for dx in (0, 1)])
        for t in range(steps)
        for y in range(height // 2)
        for x in range(width // 2)
    ]
    return encoder.model.model.visual.merger(torch.cat(groups))


@torch.no_grad()
def own_merged(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> list[torch.Tensor]:
    """Returns what the vision tower hands to the language model."""
    pixels, grid_thw = _pixels(encoder, clips, media)
    merged = encoder.model.model.visual(pixels, grid_thw=grid_thw).pooler_output
    return list(merged.split([t * h * w // 4 for t, h, w in grid_thw.tolist()]))


@contextmanager
def full_attention(encoder: Any) -> Iterator[None]:
    """Lets all blocks attend to everything; merge units are still permuted into windows, where there are some."""
    visual = encoder.model.model.visual
    if not hasattr(visual, "fullatt_block_indexes"):
        yield
        return
    before = visual.fullatt_block_indexes
    visual.fullatt_block_indexes = list(range(len(visual.blocks)))
    try:
        yield
    finally:
        visual.fullatt_block_indexes = before


@torch.no_grad()
def tower_without_windows(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> dict[str, list[torch.Tensor]]:
    """Returns the tokens of all taps of a tower with one window, through hooks, from merge groups by loops."""
    visual = copy.deepcopy(encoder.model.model.visual)
    visual.window_size = 28 * 64
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _module, _args, output: outputs.__setitem__(name, output)

    visual.patch_embed.register_forward_hook(keep("vit.patch_embed"))
    for number, block in enumerate(visual.blocks, start=1):
        block.register_forward_hook(keep(f"vit.block_{number:02d}"))
    visual.merger.register_forward_hook(keep("vit.post_merge"))
    pixels, grid_thw = _pixels(encoder, clips, media)
    outputs["vit.pre_merge"] = visual(pixels, grid_thw=grid_thw).last_hidden_state
    sizes = grid_thw.tolist()
    return {
        name: _merged(output, sizes) if name == "vit.post_merge" else _ungrouped(output, sizes)
        for name, output in outputs.items()
    }


def inputs(encoder: Any, clips: Sequence[np.ndarray], media: Media, texts: Sequence[str]) -> Any:
    """Returns what the real processor makes of conversations about these clips."""
    kind = "image" if media == "image" else "video"
    turns = [{"role": "user", "content": [{"type": kind}, {"type": "text", "text": words}]} for words in texts]
    prompts = [
        encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True) for turn in turns
    ]
    media_arguments = {"images": [clip[0] for clip in clips]} if media == "image" else {"videos": list(clips)}
    if media == "clip":
        media_arguments["video_metadata"] = [
            {"fps": 2.0, "total_num_frames": len(clip), "frames_indices": list(range(len(clip)))} for clip in clips
        ]
        media_arguments["do_sample_frames"] = False
    return encoder.processor(
        text=prompts, **media_arguments, do_resize=False, padding=True, padding_side="right", return_tensors="pt"
    )


@torch.no_grad()
def hidden_states(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> list[list[torch.Tensor]]:
    """Returns `output_hidden_states` at the visual tokens, for the real processor's inputs with all of the prompt."""
    prepared = inputs(encoder, clips, media, [encoder.options.prompt] * len(clips))
    outputs = encoder.model(**prepared, output_hidden_states=True, use_cache=False)
    visual = torch.isin(
        prepared["input_ids"], torch.tensor([encoder.processor.image_token_id, encoder.processor.video_token_id])
    )
    return [[row[mask] for row, mask in zip(state, visual, strict=True)] for state in outputs.hidden_states]


@torch.no_grad()
def final_norm(encoder: Any, tokens_ND: torch.Tensor) -> torch.Tensor:
    return encoder.model.model.language_model.norm(tokens_ND)


def _pixels(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> tuple[torch.Tensor, torch.Tensor]:
    if media == "image":
        prepared = encoder.processor.image_processor(
            images=[clip[0] for clip in clips], do_resize=False, return_tensors="pt"
        )
        return prepared["pixel_values"], prepared["image_grid_thw"]
    prepared = encoder.processor.video_processor(
        videos=list(clips), do_resize=False, do_sample_frames=False, return_tensors="pt"
    )
    return prepared["pixel_values_videos"], prepared["video_grid_thw"]


def _ungrouped(packed: torch.Tensor, sizes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Turns packed patches, which stand in 2×2 merge groups, into one raster per sample."""
    samples, position = [], 0
    for steps, height, width in sizes:
        raster = torch.empty(steps, height, width, packed.shape[-1])
        for t in range(steps):
            for y in range(0, height, 2):
                for x in range(0, width, 2):
                    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
                        raster[t, y + dy, x + dx] = packed[position]
                        position += 1
        samples.append(raster.flatten(0, 2))
    return samples


def _merged(packed: torch.Tensor, sizes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    return list(packed.split([t * h * w // 4 for t, h, w in sizes]))
