"""Tokens of two models at their cells, behind gates: one model's points beside another's, of two caches.

C1's dual encoder: a vision-language model with DINOv2 or OWL-ViT beside it.
"""

from collections.abc import Sequence

from torch import Tensor

from foresight_probes.adapters.networks.layers import base
from foresight_probes.adapters.networks.layers.streams import Gates, Readout, gridded_streams


class Adapter(base.Adapter):
    """Both streams are spatial, so that they meet at the cells without attention."""

    points = (2, 2)
    from_several_caches = True
    leaves_out = True

    def __init__(self, shape: base.Shape, width: int) -> None:
        super().__init__(shape, width)
        self.streams = gridded_streams(shape, width)
        self.gates = Gates(len(self.streams), width)
        self.readout = Readout(shape.latent, width, shape.channels)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        own = [tokens_BND for number, tokens_BND in enumerate(streams) if number != self.shape.left_out]
        found = [stream(tokens_BND) for stream, tokens_BND in zip(self.streams, own, strict=True)]
        latents: Tensor = self.readout(self.gates(found))
        return latents
