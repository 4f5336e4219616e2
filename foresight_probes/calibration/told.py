"""What the tokens of planted samples tell: their facts under noise, before they become features."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from foresight_cache.samples import Grid
from foresight_probes.calibration.facts import Facts
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.scenes import Clip, Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Facts of some samples of a planted point, true and under noise."""

    drawn: Sequence[Scene | Clip]
    facts: Facts
    noisy_BNF: np.ndarray
    """The facts as the point has them, float64."""
    grid: Grid

    @property
    def scenes(self) -> list[Scene]:
        """Scenes of the samples."""
        return [scene for scene in self.drawn if isinstance(scene, Scene)]

    @property
    def clips(self) -> list[Clip]:
        """Clips of the samples."""
        return [clip for clip in self.drawn if isinstance(clip, Clip)]

    def noisy(self, group: str) -> np.ndarray:
        """Returns the noisy facts of a group, [B, N, F]."""
        return self.noisy_BNF[..., self.facts.columns(group)]

    def true(self, group: str) -> np.ndarray:
        """Returns the facts of a group, [B, N, F]."""
        return self.facts.values_BNF[..., self.facts.columns(group)]


@lru_cache(maxsize=4)
def told(cache: PlantedCache, point: PlantedPoint, side: str) -> Told:
    """Draws again what a point tells of the samples of a side; tasks that ask the same point share it."""
    numbers = cache.numbers(side)
    drawn = cache.drawn(numbers)
    facts = cache.facts(point, drawn)
    return Told(drawn=drawn, facts=facts, noisy_BNF=cache.shaped(point, facts, numbers), grid=cache.grid)


def least_squares(facts_SF: np.ndarray, values_SC: np.ndarray) -> np.ndarray:
    """Returns the linear map of facts, and of a constant behind them, that is nearest to the values, [F + 1, C]."""
    solution: np.ndarray = np.linalg.lstsq(with_constant(facts_SF), values_SC, rcond=None)[0]
    return solution


def with_constant(facts_SF: np.ndarray) -> np.ndarray:
    """Returns the facts with a column of ones behind them."""
    return np.concatenate([facts_SF, np.ones((len(facts_SF), 1))], axis=1)
