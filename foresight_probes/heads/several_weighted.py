"""Several points in one sum: each is mapped to the same channels, and learned weights say how much it counts.

This is the scalar mix of ELMo (Peters et al., "Deep contextualized word representations", NAACL 2018): a softmax over
one learned number per point.
"""

import torch
from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec
from foresight_probes.heads.layers.alignment import on_first_grid
from foresight_probes.heads.layers.attention import WIDTH
from foresight_probes.heads.layers.multi_point import MultiPointHead


class Head(MultiPointHead):
    """tokens [B, N, D1], [B, N2, D2], … -> the weighted sum [B, N, 256] -> values; the weights sum to 1."""

    def __init__(self, *, widths: tuple[int, ...], outputs: OutputSpec) -> None:
        super().__init__(WIDTH, outputs)
        self.project = nn.ModuleList(nn.Sequential(nn.Linear(width, WIDTH), nn.LayerNorm(WIDTH)) for width in widths)
        self.weight_logits = nn.Parameter(torch.zeros(len(widths)))

    @property
    def weights(self) -> Tensor:
        """Weight of each point; they sum to 1."""
        return self.weight_logits.softmax(0)

    def mix(self, features: Features) -> Tensor:
        mapped = [project(tokens) for project, tokens in zip(self.project, on_first_grid(features), strict=True)]
        return (torch.stack(mapped, dim=-1) * self.weights).sum(-1)
