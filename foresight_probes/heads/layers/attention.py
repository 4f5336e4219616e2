"""What heads with attention share: where tokens lie, as vectors, and a block in which queries look at tokens."""

import math

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features

WIDTH = 256
"""Channels inside."""

HEADS = 8


def places(features: Features, channels: int = WIDTH) -> Tensor:
    """[B, N, channels] sines and cosines of where each token lies: half of the channels for x and half for y.

    As in DETR (Carion et al., ECCV 2020) after Vaswani et al. (NeurIPS 2017), with wavelengths from 2π to 10000 · 2π
    of a place that goes from 0 to 2π over the image. Right only if tokens are in raster order.
    """
    return torch.cat([_waves(features.cells[..., axis], channels // 2) for axis in (0, 1)], dim=-1)


def times(features: Features, channels: int = WIDTH) -> Tensor:
    """[B, N, channels] the same for the time step of each token, from 0 to 2π over the clip."""
    steps = torch.zeros_like(features.cells[..., 0])
    for row, grid in enumerate(features.grids):
        each = (torch.arange(grid.t, device=steps.device) + 0.5) / grid.t
        steps[row, : grid.tokens] = each.repeat_interleave(grid.h * grid.w)
    return _waves(steps, channels)


def _waves(place: Tensor, channels: int) -> Tensor:
    frequencies = 10000.0 ** (-torch.arange(channels // 2, device=place.device) / (channels // 2))
    angles = 2 * math.pi * place[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class CrossAttentionBlock(nn.Module):
    """Queries [B, Q, 256] that look at tokens [B, N, 256] once, then think for themselves: a decoder block of DETR.

    Padding, where `mask` [B, N] is false, is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.thought = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        seen, _ = self.attention(queries, keys, values, key_padding_mask=~mask, need_weights=False)
        queries = self.norms[0](queries + seen)
        found: Tensor = self.norms[1](queries + self.thought(queries))
        return found
