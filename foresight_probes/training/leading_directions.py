"""The leading directions of features, whitened: a few channels in which each direction is as loud as any other.

Only the leading ones are taken. Whitening all of them makes each direction of noise as loud as the signal.
"""

import torch
from torch import Tensor

from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.training.solver_data import MOST_ROWS, sampled

_EXTRA = 16
"""Directions beyond those asked for, which make the randomised method exact enough (Halko et al. 2011, section 1)."""
_ITERATIONS = 4


def training_sample(data: FeatureData, standardization: Standardization, *, pooled: bool) -> Tensor:
    """Returns standardised rows of training samples, [R, D] float32: means, or `MOST_ROWS` tokens at most."""
    train = data.split.train
    if pooled:
        means = torch.stack([torch.from_numpy(data.pooled_of(row)) for row in train])
        return (means - standardization.pooled_mean) / standardization.pooled_scale
    most = -(-MOST_ROWS // len(train))
    kept = [tokens[sampled(row, len(tokens), most)] for row in train for tokens in [data.tokens_of(row)]]
    return (torch.cat(kept) - standardization.token_mean) / standardization.token_scale


def leading_directions(rows_RD: Tensor, count: int) -> Tensor:
    """Returns a map [count, D] of rows of mean 0 to their leading principal components, each of deviation 1.

    By the randomised method of Halko, Martinsson and Tropp, "Finding Structure with Randomness" (SIAM Review 2011).
    Fewer than `count` where the rows have fewer directions. The same rows give the same map.
    """
    rank = min(count, *rows_RD.shape)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        _, spread, directions_DK = torch.svd_lowrank(rows_RD, q=min(rank + _EXTRA, *rows_RD.shape), niter=_ITERATIONS)
    spread, directions_DK = spread[:rank], directions_DK[:, :rank]
    kept = spread > 1e-6 * spread[0]
    signs = directions_DK.gather(0, directions_DK.abs().argmax(0, keepdim=True)).sign()
    whitened_DK: Tensor = (signs * directions_DK)[:, kept] * (len(rows_RD) ** 0.5 / spread[kept])
    return whitened_DK.T.contiguous()
