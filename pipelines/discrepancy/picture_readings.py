"""LPIPS of pictures that are wrong in one way each, and of what least squares draws from tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.features.patches import patchify, unpatchify
from foresight_probes.metrics.perceptual import PerceptualDistance
from pipelines.discrepancy.readings import Reading

PART = "LPIPS of pictures"
MOST, BATCH = 120, 40
"""Test scenes whose pictures are compared, and how many at a time."""
_NOISE_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """True pictures of test scenes with what stands in for an answer."""

    truth_BCHW: Tensor
    """float32 from 0 to 1."""
    mean_CHW: Tensor
    """Mean picture of the training scenes."""
    order_N: np.ndarray
    """Raster index of the cell at each position of a hook."""
    grid: Grid

    def mean(self) -> Tensor:
        """Returns the mean picture for each scene."""
        return self.mean_CHW.expand_as(self.truth_BCHW)

    def grey(self) -> Tensor:
        """Returns middle grey."""
        return torch.full_like(self.truth_BCHW, 0.5)

    def other(self) -> Tensor:
        """Returns the picture of the scene before."""
        return self.truth_BCHW.roll(1, 0)

    def blurred(self) -> Tensor:
        """Returns the mean colour of each cell."""
        small = functional.adaptive_avg_pool2d(self.truth_BCHW, (self.grid.h, self.grid.w))
        return functional.interpolate(small, self.truth_BCHW.shape[-2:], mode="nearest")

    def in_hook_order(self) -> Tensor:
        """Returns the right cells in the places where a hook has them."""
        return self._rearranged(lambda _: self.order_N)

    def in_random_order(self) -> Tensor:
        """Returns the right cells in random places."""
        return self._rearranged(
            lambda number: np.random.default_rng([_NOISE_SEED, number]).permutation(len(self.order_N))
        )

    def uniform_noise(self) -> Tensor:
        """Returns noise from 0 to 1."""
        return torch.rand(self.truth_BCHW.shape, generator=torch.Generator().manual_seed(_NOISE_SEED))

    def white_noise(self, deviation: float) -> Tensor:
        """Returns normal noise about 0, not limited to the range of pictures."""
        generator = torch.Generator().manual_seed(_NOISE_SEED)
        return deviation * torch.randn(self.truth_BCHW.shape, generator=generator)

    def _rearranged(self, order_of: Callable[[int], np.ndarray]) -> Tensor:
        height, width = self.truth_BCHW.shape[-2:]
        cell = (1, height // self.grid.h, width // self.grid.w, 3)
        pictures = []
        for number, picture_CHW in enumerate(self.truth_BCHW):
            pieces_NC = patchify(picture_CHW.permute(1, 2, 0)[None], self.grid)
            pictures.append(unpatchify(pieces_NC[order_of(number)], self.grid, cell)[0].permute(2, 0, 1))
        return torch.stack(pictures)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A picture that is wrong in one way."""

    key: str
    what: str
    picture: Callable[[Pictures], Tensor]
    against: str = ""
    is_wrong_range: bool = False
    """True where pictures from 0 to 1 are given to the distance as if they went from -1 to 1."""


FAULTS = (
    Fault(key="noise", what="white noise of unit variance", picture=lambda own: own.white_noise(1.0)),
    Fault(key="noise-5", what="noise of five times that", picture=lambda own: own.white_noise(5.0), against="noise"),
    Fault(key="noise-uniform", what="uniform noise from 0 to 1", picture=Pictures.uniform_noise, against="noise"),
    Fault(key="mean", what="the mean picture", picture=Pictures.mean, against="noise"),
    Fault(key="grey", what="middle grey", picture=Pictures.grey, against="mean"),
    Fault(key="other", what="another scene", picture=Pictures.other, against="mean"),
    Fault(
        key="range", what="the mean picture, 0 to 1 given as -1 to 1", picture=Pictures.mean, against="mean",
        is_wrong_range=True,
    ),
    Fault(key="blur", what="the right colour of each cell", picture=Pictures.blurred, against="mean"),
    Fault(key="hook", what="the right cells in the order of a hook", picture=Pictures.in_hook_order, against="mean"),
    Fault(key="random", what="the right cells in random order", picture=Pictures.in_random_order, against="hook"),
)  # fmt: skip


def picture_readings(
    cache: Cache,
    points: Sequence[str],
    rows: dict[str, list[int]],
    order_N: np.ndarray,
    distance: PerceptualDistance,
) -> list[Reading]:
    """Measures the faults, then pictures that least squares draws from the tokens of each point."""
    test = rows["test"][:MOST]
    grid = cache[points[0]].grid_of(test[0])
    train_BCHW = _pictures(cache, rows["train"])
    own = Pictures(truth_BCHW=_pictures(cache, test), mean_CHW=train_BCHW.mean(0), order_N=order_N, grid=grid)
    groups = tuple(cache.rows[row]["group"] for row in test)
    chance: list[float] = []

    def reading(key: str, what: str, against: str, distances_B: Tensor) -> Reading:
        return Reading(
            key=key, part=PART, what=what, metric="lpips", scores=(distances_B.double().numpy()[:, None],),
            groups=groups, chance=chance[0], against=against,
        )  # fmt: skip

    chance.append(float(_distances(distance, own.mean(), own.truth_BCHW).mean()))
    readings = []
    for fault in FAULTS:
        pictures, truth = fault.picture(own), own.truth_BCHW
        if fault.is_wrong_range:
            pictures, truth = (pictures + 1) / 2, (truth + 1) / 2
        readings.append(reading(fault.key, fault.what, fault.against, _distances(distance, pictures, truth)))
    for point in points:
        drawn = draw_by_least_squares(cache, point, rows["train"], test, train_BCHW)
        what = f"drawn by least squares from each token of `{point}`"
        readings.append(reading(point, what, "mean", _distances(distance, drawn, own.truth_BCHW)))
    return readings


def draw_by_least_squares(
    cache: Cache, point: str, train: Sequence[int], test: Sequence[int], train_BCHW: Tensor
) -> Tensor:
    """Returns pictures [B, 3, H, W] of the test scenes, each cell a linear map of its token."""
    grid = cache[point].grid_of(train[0])
    width = cache[point].shape[2] + 1
    products_DD, with_pieces_DC = torch.zeros(width, width, dtype=torch.float64), None
    for row, picture_CHW in zip(train, train_BCHW, strict=True):
        tokens_ND = _with_one(cache, point, row)
        pieces_NC = patchify(picture_CHW.permute(1, 2, 0)[None], grid).double()
        products_DD += tokens_ND.T @ tokens_ND
        product_DC = tokens_ND.T @ pieces_NC
        with_pieces_DC = product_DC if with_pieces_DC is None else with_pieces_DC + product_DC
    weights_DC = torch.linalg.lstsq(products_DD, with_pieces_DC).solution
    height, columns = train_BCHW.shape[-2:]
    cell = (1, height // grid.h, columns // grid.w, 3)
    pictures = [unpatchify((_with_one(cache, point, row) @ weights_DC).float(), grid, cell)[0] for row in test]
    return torch.stack(pictures).permute(0, 3, 1, 2).clamp(0, 1)


def _with_one(cache: Cache, point: str, row: int) -> Tensor:
    return functional.pad(torch.from_numpy(cache[point][row]).double(), (0, 1), value=1.0)


def _pictures(cache: Cache, rows: Sequence[int]) -> Tensor:
    pictures = [torch.from_numpy(cache["pixels"].grid(row)[0] / np.float32(255)) for row in rows]
    return torch.stack(pictures).float().permute(0, 3, 1, 2)


@torch.no_grad()
def _distances(distance: PerceptualDistance, pictures_BCHW: Tensor, truth_BCHW: Tensor) -> Tensor:
    parts = [slice(first, first + BATCH) for first in range(0, len(truth_BCHW), BATCH)]
    return torch.cat([distance(pictures_BCHW[part], truth_BCHW[part]) for part in parts])
