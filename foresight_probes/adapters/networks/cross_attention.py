"""Learned queries at the places of the latent's cells, which attend to all tokens of a clip."""

from collections.abc import Sequence

from torch import Tensor

from foresight_probes.adapters.networks.layers import base
from foresight_probes.adapters.networks.layers.streams import AttendedStream, Readout


class Adapter(base.Adapter):
    """Each head begins around its query's own place and learns how far, and where, to look."""

    def __init__(self, shape: base.Shape, width: int) -> None:
        super().__init__(shape, width)
        (given,) = shape.streams
        self.stream = AttendedStream(given.channels, given.lattice, shape.latent, width)
        self.readout = Readout(shape.latent, width, shape.channels)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        (tokens_BND,) = streams
        latents: Tensor = self.readout(self.stream(tokens_BND))
        return latents
