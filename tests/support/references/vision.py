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


FOLLOWED = {"yolos": 1, "siglip2": 0}
"""Number of the first patch token by family, where padding or other tokens follow; elsewhere patches are the last."""
RESAMPLING = {"clip", "siglip", "owlvit"}
"""Families that resample positions when they are told to."""


def _frame(encoder: Any, frame: np.ndarray) -> dict[str, torch.Tensor]:
    outputs = run(encoder.model, encoder.processor, encoder.family, frame)
    count = encoder.grid("patch", 1, *frame.shape[:2]).tokens
    first = FOLLOWED.get(encoder.family, -count)
    *blocks, last = [state[0, first:][:count] for state in (*outputs.hidden_states, outputs.last_hidden_state)]
    tokens = {f"vit.block_{number:02d}": block for number, block in enumerate(blocks) if number}
    tokens["vit.pre_merge"] = blocks[-1]
    if any(tap.name == "vit.final_norm" for tap in encoder.taps):
        tokens["vit.final_norm"] = last
    return tokens


def run(model: Any, processor: Any, family: str, frame: np.ndarray) -> Any:
    """Returns what a model says to what its own processor makes of a frame."""
    prepared = processor(frame, do_resize=False, do_center_crop=False, return_tensors="pt")
    if family == "siglip2":  # padded to the most patches, and a mask says where
        return model(**prepared, output_hidden_states=True)
    resampled = {"interpolate_pos_encoding": True} if family in RESAMPLING else {}
    return model(prepared["pixel_values"], output_hidden_states=True, **resampled)
