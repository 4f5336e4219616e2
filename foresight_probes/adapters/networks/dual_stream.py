"""Tokens of one point at their cells, and queries from there to the tokens of a second one, behind gates.

The drawing of PIVOT-1: a spatial stream, such as tokens before the merger, and a semantic one, such as a layer of the
language model, fused by cross-attention.
"""

from collections.abc import Sequence

from torch import Tensor

from foresight_probes.adapters.networks.layers import base
from foresight_probes.adapters.networks.layers.streams import AttendedStream, Gates, GriddedStream, Readout


class Adapter(base.Adapter):
    """The first point is the spatial stream, the second the semantic one."""

    points = (2, 2)
    leaves_out = True

    def __init__(self, shape: base.Shape, width: int) -> None:
        super().__init__(shape, width)
        spatial, semantic = shape.streams
        if shape.left_out != 0:
            self.spatial = GriddedStream(spatial.channels, spatial.lattice, shape.latent, width)
        if shape.left_out != 1:
            self.semantic = AttendedStream(semantic.channels, semantic.lattice, shape.latent, width)
        self.gates = Gates(2 if shape.left_out is None else 1, width)
        self.readout = Readout(shape.latent, width, shape.channels)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        spatial_BND, semantic_BND = streams
        found = [] if self.shape.left_out == 0 else [self.spatial(spatial_BND)]
        if self.shape.left_out != 1:
            found.append(self.semantic(semantic_BND, *found))
        latents: Tensor = self.readout(self.gates(found))
        return latents
