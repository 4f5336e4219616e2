"""Position and time encodings of tokens, and a block in which queries attend to tokens."""

import math

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features

WIDTH = 256
"""Channels of queries and tokens inside of heads with attention."""

NUM_HEADS = 8
"""Heads of the attention."""


def position_encoding(features: Features, channels: int = WIDTH) -> Tensor:
    """Returns sines and cosines of where each token lies, [B, N, channels]: half of them for x and half for y.

    As in DETR (Carion et al., ECCV 2020) after Vaswani et al. (NeurIPS 2017), with wavelengths from 2π to 10000 · 2π
    of a coordinate that goes from 0 to 2π over the image. Right only if tokens are in raster order.
    """
    return torch.cat([_waves(features.cells[..., axis], channels // 2) for axis in (0, 1)], dim=-1)


def time_encoding(features: Features, channels: int = WIDTH) -> Tensor:
    """Returns sines and cosines of each token's time step, from 0 to 2π over the clip, [B, N, channels]."""
    steps = torch.zeros_like(features.cells[..., 0])
    for row, grid in enumerate(features.grids):
        moments = (torch.arange(grid.t, device=steps.device) + 0.5) / grid.t
        steps[row, : grid.tokens] = moments.repeat_interleave(grid.h * grid.w)
    return _waves(steps, channels)


def _waves(coordinate: Tensor, channels: int) -> Tensor:
    frequencies = 10000.0 ** (-torch.arange(channels // 2, device=coordinate.device) / (channels // 2))
    angles = 2 * math.pi * coordinate[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class CrossAttentionBlock(nn.Module):
    """A decoder block of DETR: queries [B, P, 256] attend to tokens [B, N, 256], then pass a feed-forward network.

    Padding, where `mask` [B, N] is false, is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, NUM_HEADS, batch_first=True)
        self.thought = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        attended, _ = self.attention(queries, keys, values, key_padding_mask=~mask, need_weights=False)
        queries = self.norms[0](queries + attended)
        updated: Tensor = self.norms[1](queries + self.thought(queries))
        return updated
