"""The coordinates in which facts stand as features: narrow and wide, rescaled, with outliers, as a language model's.

Every geometry holds the same facts with the same noise on each, so that a fair probe reads the same from all.
"""

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from foresight_cache.format.layout import DType

NARROW, WIDE, WIDEST = 96, 1280, 3584
"""Channels of a small encoder, of a large one, and of a language model."""
NUISANCES = 32
"""Directions in which features vary without telling anything."""
NUISANCE_DEVIATION = 20.0
"""Standard deviation along these directions: 400 times the variance of a fact."""
OUTLIER_CHANNELS, OUTLIER_GAIN = 4, 100.0
SINK_SHARE, SINK_SIZE = 0.01, 50.0
"""Fraction of tokens that are massive, and their size in one direction, in standard deviations of a fact."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """Coordinates of features."""

    width: int = NARROW
    """Channels."""
    noise: float = 0.1
    """Standard deviation of the noise in each channel of each token, and so of that on each fact."""
    is_fine: bool = False
    """True for a grid of twice as many rows and columns."""
    has_nuisances: bool = False
    has_sinks: bool = False
    has_outliers: bool = False
    """True where some channels are a hundred times as large as the others."""
    gain: float = 1.0
    shift: float = 0.0

    @property
    def dtype(self) -> DType:
        """Type of the stored numbers: bfloat16, unless a shift would cost the digits that tell."""
        return "float32" if self.shift else "bfloat16"


PLAIN = Geometry(noise=0.02)
"""The coordinates of caches that ask about one kind of information and not about geometry."""
GEOMETRIES = MappingProxyType(
    {
        "base": Geometry(),
        "w1280": Geometry(width=WIDE),
        "w3584": Geometry(width=WIDEST),
        "fine": Geometry(is_fine=True),
        "scaled": Geometry(gain=1000.0, shift=300.0),
        "outch": Geometry(has_outliers=True),
        "sinks": Geometry(has_sinks=True),
        "aniso": Geometry(has_nuisances=True),
        "llm": Geometry(width=WIDEST, has_nuisances=True, has_sinks=True, has_outliers=True),
    }
)
"""The nine geometries by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Directions in the space of the channels, each of length 1 and at right angles to all others."""

    facts_FD: np.ndarray
    """Direction of each fact."""
    nuisances_ID: np.ndarray
    """Directions that tell nothing; fewer than `NUISANCES` where there are not enough channels."""
    sink_D: np.ndarray
    """Direction of massive tokens; with few channels one of the nuisances."""
    outliers: np.ndarray
    """Numbers of the outlier channels."""


@cache
def frame(facts: int, width: int, seed: int) -> Frame:
    """Draws a frame for so many facts in so many channels, of which there are at least as many."""
    generator = np.random.default_rng([seed, facts, width])
    count = min(width, facts + NUISANCES + 1)
    directions = np.linalg.qr(generator.normal(size=(width, count)))[0].T.astype(np.float32)
    return Frame(
        facts_FD=directions[:facts],
        nuisances_ID=directions[facts : facts + NUISANCES],
        sink_D=directions[-1],
        outliers=generator.permutation(width)[:OUTLIER_CHANNELS],
    )


def embed(facts_BNF: np.ndarray, geometry: Geometry, frame: Frame, generators: list[np.random.Generator]) -> np.ndarray:
    """Returns features [B, N, D] float32 that hold the facts; each sample draws its noise from its own generator."""
    tokens = facts_BNF.shape[1]
    features: np.ndarray = facts_BNF.astype(np.float32) @ frame.facts_FD
    for own, generator in zip(features, generators, strict=True):
        own += np.float32(geometry.noise) * generator.standard_normal(own.shape, np.float32)
        if geometry.has_nuisances:
            own += _nuisances(tokens, len(frame.nuisances_ID), generator) @ frame.nuisances_ID
        if geometry.has_sinks:
            own[generator.random(tokens) < SINK_SHARE] += np.float32(SINK_SIZE) * frame.sink_D
    if geometry.has_outliers:
        features[..., frame.outliers] *= np.float32(OUTLIER_GAIN)
    features *= np.float32(geometry.gain)
    features += np.float32(geometry.shift)
    return features


def _nuisances(tokens: int, directions: int, generator: np.random.Generator) -> np.ndarray:
    """Returns what varies without telling anything, [N, I]: half of the variance is the sample's, half the token's."""
    shared = generator.standard_normal((1, directions), np.float32)
    own = generator.standard_normal((tokens, directions), np.float32)
    nuisances: np.ndarray = np.float32(NUISANCE_DEVIATION / 2**0.5) * (shared + own)
    return nuisances
