"""Vision-only models run by hand, through the model's own `output_hidden_states`."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from foresight_cache.samples import Media


def full_attention(encoder: Any) -> Any:
    return nullcontext()


@torch.no_grad()
def tower_without_windows(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> dict[str, list[torch.Tensor]]:
    """Runs the tower frame by frame, without hooks; the class token, where there is one, is the first."""
    tokens: dict[str, list[torch.Tensor]] = {}
    for clip in clips:
        frames = [_frame(encoder, frame) for frame in clip]
        for name in frames[0]:
            tokens.setdefault(name, []).append(torch.cat([frame[name] for frame in frames]))
    return tokens


def _frame(encoder: Any, frame: np.ndarray) -> dict[str, torch.Tensor]:
    pixels = encoder.processor(frame, do_resize=False, do_center_crop=False, return_tensors="pt")["pixel_values"]
    resampled = {} if encoder.family.startswith("dinov2") else {"interpolate_pos_encoding": True}
    outputs = encoder.model(pixels, output_hidden_states=True, **resampled)
    grid = encoder.grid("patch", 1, *frame.shape[:2])
    blocks = [state[0, -grid.tokens :] for state in outputs.hidden_states]
    tokens = {f"vit.block_{number:02d}": block for number, block in enumerate(blocks) if number}
    tokens["vit.pre_merge"] = blocks[-1]
    if any(tap.name == "vit.final_norm" for tap in encoder.taps):
        tokens["vit.final_norm"] = outputs.last_hidden_state[0, -grid.tokens :]
    return tokens
