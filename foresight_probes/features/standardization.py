"""Features with mean 0 and deviation 1 in every channel, fitted to the training samples in one pass."""

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
    """Of the further points, where heads take several."""

    @classmethod
    def of(cls, samples: Iterable["Moments"]) -> Self:
        """From each training sample's own moments."""
        tokens = pooled = None
        for each in samples:
            tokens = each if tokens is None else tokens.joined(each)
            alone = Moments(1, each.mean, np.zeros_like(each.mean))
            pooled = alone if pooled is None else pooled.joined(alone)
        assert tokens is not None, "a split without training samples is refused before"  # noqa: S101
        assert pooled is not None  # noqa: S101
        return cls(
            token_mean=torch.from_numpy(tokens.mean).float(),
            token_scale=tokens.scale(),
            pooled_mean=torch.from_numpy(pooled.mean).float(),
            pooled_scale=pooled.scale(),
        )

    def to(self, device: torch.device) -> "Standardization":
        return Standardization(
            token_mean=self.token_mean.to(device),
            token_scale=self.token_scale.to(device),
            pooled_mean=self.pooled_mean.to(device),
            pooled_scale=self.pooled_scale.to(device),
            others=tuple(other.to(device) for other in self.others),
        )

    def __call__(self, features: Features, buffers: list[Tensor] | None = None) -> Features:
        """float32 features with mean 0 and deviation 1 per channel; padding stays zero.

        With `buffers`, one per point or none yet, tokens are written there: new memory costs more than the sums.
        """
        buffers = [] if buffers is None else buffers
        found = []
        for place, (each, fitted) in enumerate(zip(features.every, (self, *self.others), strict=True)):
            if place == len(buffers):
                buffers.append(torch.empty(0, device=each.tokens.device))
            if buffers[place].numel() < each.tokens.numel():
                buffers[place] = torch.empty(each.tokens.numel(), device=each.tokens.device)
            tokens = buffers[place][: each.tokens.numel()].view(each.tokens.shape)
            fitted._standardise_tokens(each, tokens)
            pooled = (each.pooled - fitted.pooled_mean) / fitted.pooled_scale
            found.append(replace(each, tokens=tokens, pooled=pooled, others=()))
        return replace(found[0], others=tuple(found[1:]))

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
    """Of the rows of an [N, D] array."""

    count: int
    mean: np.ndarray
    """[D] float64."""
    deviations: np.ndarray
    """[D] float64: the sum of squared distances from the mean."""

    def joined(self, other: "Moments") -> "Moments":
        """Of the rows of both (Chan, Golub and LeVeque, 1983): nothing large is subtracted from something large.

        >>> Moments(1, np.array([1.0]), np.zeros(1)).joined(Moments(1, np.array([3.0]), np.zeros(1)))
        Moments(count=2, mean=array([2.]), deviations=array([2.]))
        """
        count, away = self.count + other.count, other.mean - self.mean
        return Moments(
            count,
            self.mean + away * (other.count / count),
            self.deviations + other.deviations + away**2 * (self.count * other.count / count),
        )

    def scale(self) -> Tensor:
        """The standard deviation, float32; 1 for a channel that does not vary, which then is 0 everywhere."""
        deviation = np.sqrt(self.deviations / self.count)
        return torch.from_numpy(np.where(deviation > 1e-6 * (1 + np.abs(self.mean)), deviation, 1.0)).float()


def moments(tokens: np.ndarray) -> Moments:
    """Of float32 tokens [N, D], which are overwritten."""
    mean = tokens.mean(0)
    tokens -= mean
    np.multiply(tokens, tokens, out=tokens)
    return Moments(len(tokens), mean.astype(np.float64), tokens.sum(0).astype(np.float64))
