"""Streams: the tokens of one point as vectors at the cells of a latent. Readouts: latents of such vectors.

Every block has a path without a nonlinearity, so that a linear map of tokens is in reach of each adapter.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from foresight_probes.adapters.lattice import Lattice
from foresight_probes.adapters.networks.layers.base import Shape
from foresight_probes.adapters.networks.layers.resampling import Resampling
from foresight_probes.controls.positions_only import OCTAVES

HEADS = 8
"""Heads of attention; widths are multiples of it."""
_PLACES = 3 * 2 * OCTAVES


class Residual(nn.Module):
    """A vector plus what a hidden layer of the same width makes of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, vectors: Tensor) -> Tensor:
        """Returns vectors of the same shape."""
        added: Tensor = self.inner(vectors)
        return vectors + added


class Places(nn.Module):
    """A vector for each cell of a lattice, a linear map of sines of its place in time and space."""

    sines_NP: Tensor

    def __init__(self, lattice: Lattice, width: int) -> None:
        super().__init__()
        frames = lattice.steps[-1][1]
        places_N3 = lattice.centres() / np.array([frames, 1, 1])
        angles_N = (places_N3[:, :, None] * np.pi * 2.0 ** np.arange(OCTAVES)).reshape(len(places_N3), -1)
        waves = torch.from_numpy(np.concatenate([np.sin(angles_N), np.cos(angles_N)], 1)).float()
        self.register_buffer("sines_NP", waves, persistent=False)
        self.linear = nn.Linear(_PLACES, width)

    def forward(self) -> Tensor:
        """Returns [N, D]."""
        vectors: Tensor = self.linear(self.sines_NP)
        return vectors


class GriddedStream(nn.Module):
    """Each token through a small network, then the mean over the tokens of each cell, weighted by area."""

    def __init__(self, channels: int, given: Lattice, wanted: Lattice, width: int) -> None:
        super().__init__()
        self.resampling = Resampling(given, wanted)
        self.token = nn.Sequential(nn.Linear(channels, width), Residual(width))
        self.cell = nn.Linear(self.resampling.slots * width, width)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Returns [B, Q, width]."""
        vectors: Tensor = self.cell(self.resampling(self.token(tokens_BND)))
        return vectors


def gridded_streams(shape: Shape, width: int) -> nn.ModuleList:
    """Returns a stream for each point of a shape but the one that is left out."""
    kept = [stream for number, stream in enumerate(shape.streams) if number != shape.left_out]
    return nn.ModuleList(GriddedStream(each.channels, each.lattice, shape.latent, width) for each in kept)


class AttendedStream(nn.Module):
    """Queries at the places of cells, which look among all tokens, at first around their own place.

    To the logits of a head is added less the further a token is from where it looks, by a slope and an offset that are
    learned: a Gaussian in the cells of the latent.
    """

    steps_ST: Tensor
    rows_HY: Tensor
    columns_WX: Tensor

    def __init__(self, channels: int, given: Lattice, wanted: Lattice, width: int) -> None:
        super().__init__()
        self.tokens = nn.Linear(channels, width)
        self.places, self.queries = Places(given, width), Places(wanted, width)
        self.key, self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        longest = max(last - first for first, last in wanted.steps)
        axes = (
            ("steps_ST", wanted.steps, given.steps, longest),
            ("rows_HY", wanted.rows, given.rows, 1 / wanted.grid.h),
            ("columns_WX", wanted.columns, given.columns, 1 / wanted.grid.w),
        )
        for name, one, other, unit in axes:
            apart = np.array(other).mean(1)[None] - np.array(one).mean(1)[:, None]
            self.register_buffer(name, torch.from_numpy(apart / unit).float(), persistent=False)
        offsets_H3 = torch.zeros(HEADS, 3)
        offsets_H3[:, 0] = torch.linspace(-0.5, 0.5, HEADS)  # heads begin at other times of a step
        self.offsets_H3 = nn.Parameter(offsets_H3)
        self.slopes_H3 = nn.Parameter(torch.full((HEADS, 3), 1.0))

    def forward(self, tokens_BND: Tensor, queries_BQD: Tensor | None = None) -> Tensor:
        """Returns [B, Q, width]; queries are added to those of the places."""
        vectors_BND = self.tokens(tokens_BND)
        queries_QD = self.queries()
        asked_BQD = (
            queries_QD[None].expand(len(tokens_BND), -1, -1) if queries_BQD is None else queries_QD + queries_BQD
        )
        query, key, value = (
            projection(inputs).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for projection, inputs in (
                (self.query, asked_BQD),
                (self.key, vectors_BND + self.places()),
                (self.value, vectors_BND),
            )
        )
        found_BHQE = functional.scaled_dot_product_attention(query, key, value, attn_mask=self._nearness()[None])
        found_BQD: Tensor = self.out(found_BHQE.transpose(1, 2).flatten(2))
        return found_BQD

    def _nearness(self) -> Tensor:
        """Returns what is added to the logits of each head, [H, Q, N]; a sum over axes, so that one array is large."""
        slopes_H3, offsets_H3 = functional.softplus(self.slopes_H3), self.offsets_H3
        parts = []
        for axis, apart_AB in enumerate((self.steps_ST, self.rows_HY, self.columns_WX)):
            away_HAB = apart_AB[None] - offsets_H3[:, axis, None, None]
            near_HAB = -slopes_H3[:, axis, None, None] * away_HAB.square()
            shape = [len(near_HAB), *(1 for _ in range(6))]
            shape[1 + axis], shape[4 + axis] = apart_AB.shape
            parts.append(near_HAB.reshape(shape))
        return sum(parts[1:], parts[0]).flatten(1, 3).flatten(2)


class Gates(nn.Module):
    """A sum of streams, each channel of each times a number from 0 to 1: a stream of noise can be ignored."""

    def __init__(self, streams: int, width: int) -> None:
        super().__init__()
        self.openings_SD = nn.Parameter(torch.zeros(streams, width))

    def forward(self, streams: list[Tensor]) -> Tensor:
        """Returns [B, Q, width] of streams of that shape."""
        gated = [opening_D.sigmoid() * stream for opening_D, stream in zip(self.openings_SD, streams, strict=True)]
        return torch.stack(gated).sum(0)


class Readout(nn.Module):
    """Latents of the vectors of cells and of their places; at first 0, which stands for the mean of each channel."""

    def __init__(self, wanted: Lattice, width: int, channels: int) -> None:
        super().__init__()
        self.places, self.inner = Places(wanted, width), Residual(width)
        self.last = nn.Linear(width, channels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, vectors_BQD: Tensor) -> Tensor:
        """Returns [B, Q, channels]."""
        latents_BQC: Tensor = self.last(self.inner(vectors_BQD + self.places()))
        return latents_BQC
