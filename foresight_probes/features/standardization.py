"""Standardization of features to mean 0 and deviation 1 per channel, fitted to the training samples in one pass."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from foresight_probes.batches import Features


@dataclass(frozen=True, kw_only=True, slots=True)
class Standardization:
    """Mean and standard deviation per channel, [D] float32 each, of tokens and of the means over tokens."""

    token_mean: Tensor
    token_scale: Tensor
    pooled_mean: Tensor
    pooled_scale: Tensor
    others: tuple["Standardization", ...] = ()
    """Standardizations of the further points, where heads take several."""

    @classmethod
    def fit(cls, samples: Iterable["Moments"]) -> Self:
        """Fits to the moments of each training sample."""
        tokens = pooled = None
        for sample in samples:
            tokens = sample if tokens is None else tokens.merged(sample)
            single = Moments(1, sample.mean, np.zeros_like(sample.mean))
            pooled = single if pooled is None else pooled.merged(single)
        assert tokens is not None, "a split without training samples is refused before"  # noqa: S101
        assert pooled is not None  # noqa: S101
        return cls(
            token_mean=torch.from_numpy(tokens.mean).float(),
            token_scale=tokens.standard_deviation(),
            pooled_mean=torch.from_numpy(pooled.mean).float(),
            pooled_scale=pooled.standard_deviation(),
        )

    @classmethod
    def identity(cls, width: int) -> Self:
        """Returns one that changes nothing, for features that are standardised already."""
        zero, one = torch.zeros(width), torch.ones(width)
        return cls(token_mean=zero, token_scale=one, pooled_mean=zero, pooled_scale=one)

    def to(self, device: torch.device) -> "Standardization":
        """Returns the same on a device."""
        return Standardization(
            token_mean=self.token_mean.to(device),
            token_scale=self.token_scale.to(device),
            pooled_mean=self.pooled_mean.to(device),
            pooled_scale=self.pooled_scale.to(device),
            others=tuple(other.to(device) for other in self.others),
        )

    def __call__(self, features: Features, buffers: list[Tensor] | None = None) -> Features:
        """Returns float32 features with mean 0 and deviation 1 per channel; padding stays zero.

        With `buffers`, one per point or none yet, tokens are written there: new memory costs more than the sums.
        """
        buffers = [] if buffers is None else buffers
        points = []
        for index, (point, fitted) in enumerate(zip(features.every, (self, *self.others), strict=True)):
            if index == len(buffers):
                buffers.append(torch.empty(0, device=point.tokens.device))
            if buffers[index].numel() < point.tokens.numel():
                buffers[index] = torch.empty(point.tokens.numel(), device=point.tokens.device)
            tokens_BND = buffers[index][: point.tokens.numel()].view(point.tokens.shape)
            fitted._standardise_tokens(point, tokens_BND)
            pooled_BD = (point.pooled - fitted.pooled_mean) / fitted.pooled_scale
            points.append(replace(point, tokens=tokens_BND, pooled=pooled_BD, others=()))
        return replace(points[0], others=tuple(points[1:]))

    def _standardise_tokens(self, features: Features, out: Tensor) -> None:
        if not features.mask.any():
            out.zero_()
            return
        for stored, tokens in zip(features.tokens, out, strict=True):  # one sample at a time stays in the CPU's cache
            tokens.copy_(stored).sub_(self.token_mean).div_(self.token_scale)
        if not features.mask.all():
            out.mul_(features.mask[..., None])


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and squared deviations of the rows of an [N, D] array."""

    count: int
    mean: np.ndarray
    """[D] float64."""
    squared_deviations: np.ndarray
    """[D] float64: sums of squared deviations from the mean."""

    def merged(self, other: "Moments") -> "Moments":
        """Returns the moments of the rows of both, without subtracting large numbers from each other.

        Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance" (The American Statistician 1983).

        >>> Moments(1, np.array([1.0]), np.zeros(1)).merged(Moments(1, np.array([3.0]), np.zeros(1)))
        Moments(count=2, mean=array([2.]), squared_deviations=array([2.]))
        """
        count, away = self.count + other.count, other.mean - self.mean
        return Moments(
            count,
            self.mean + away * (other.count / count),
            self.squared_deviations + other.squared_deviations + away**2 * (self.count * other.count / count),
        )

    def standard_deviation(self) -> Tensor:
        """Returns the standard deviation, [D] float32; 1 for a channel that does not vary, which becomes 0."""
        deviation = np.sqrt(self.squared_deviations / self.count)
        return torch.from_numpy(np.where(deviation > 1e-6 * (1 + np.abs(self.mean)), deviation, 1.0)).float()


def moments_of(tokens_ND: np.ndarray) -> Moments:
    """Returns the moments of float32 tokens, which are overwritten."""
    mean = tokens_ND.mean(0)
    tokens_ND -= mean
    np.multiply(tokens_ND, tokens_ND, out=tokens_ND)
    return Moments(len(tokens_ND), mean.astype(np.float64), tokens_ND.sum(0).astype(np.float64))
