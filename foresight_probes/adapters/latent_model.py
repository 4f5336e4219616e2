"""An adapter, what brings its output to the scale of latents, and the constant answer that may take its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from foresight_probes.adapters.networks.layers.base import Adapter


@dataclass(frozen=True, slots=True)
class LatentMoments:
    """What is known of latents without looking at a token, of the training samples alone."""

    by_place_QC: Tensor
    """The mean latent, float32: the constant answer of least squared error, which is called chance."""
    by_channel_C: Tensor
    """The mean of each channel, float32."""
    scale: Tensor
    """Root of the mean squared deviation from the means of channels, a float32 scalar; 1 where nothing varies."""

    @classmethod
    def fit(cls, latents: Sequence[Tensor]) -> Self:
        """Returns the moments of latents [Q, C].

        >>> moments = LatentMoments.fit([torch.tensor([[0.0], [2.0]]), torch.tensor([[2.0], [4.0]])])
        >>> moments.by_place_QC.flatten().tolist(), moments.by_channel_C.tolist(), round(moments.scale.item(), 4)
        ([1.0, 3.0], [2.0], 1.4142)
        """
        count, mean_QC = len(latents), torch.zeros_like(latents[0], dtype=torch.float64)
        for latent_QC in latents:
            mean_QC += latent_QC.double() / count
        mean_C = mean_QC.mean(0)
        squares = sum(float((latent_QC.double() - mean_C).square().mean()) for latent_QC in latents)
        scale = torch.tensor((squares / count) ** 0.5 or 1.0)
        return cls(mean_QC.float(), mean_C.float(), scale.float())


class LatentModel(nn.Module):
    """Normalised latents of standardised tokens. Its state is all that is needed to make them again."""

    by_place_QC: Tensor
    by_channel_C: Tensor
    scale: Tensor
    is_constant: Tensor

    def __init__(self, adapter: Adapter, moments: LatentMoments) -> None:
        super().__init__()
        self.adapter = adapter
        self.by_place_QC = nn.Buffer(moments.by_place_QC)
        self.by_channel_C = nn.Buffer(moments.by_channel_C)
        self.scale = nn.Buffer(moments.scale)
        self.is_constant = nn.Buffer(torch.tensor(False))

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Returns latents [B, Q, C] float32 of the tokens [B, N, D] of each point, or the mean latent."""
        if self.is_constant:
            return self.by_place_QC.expand(len(streams[0]), -1, -1)
        latents_BQC: Tensor = self.adapter(streams) * self.scale + self.by_channel_C
        return latents_BQC
