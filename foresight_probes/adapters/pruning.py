"""Fewer tokens: how much of a latent is left where only the tokens of the largest norms are kept."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from foresight_cache.errors import UsageError
from foresight_probes.features.standardization import Standardization


def keep_largest(share: float, standardization: Standardization) -> Callable[[list[Tensor]], list[Tensor]]:
    """Returns what puts the mean token of the training samples in the place of all but this share of the tokens.

    Of each point and each clip the tokens of the largest norm as cached stay, at least one. Raises `UsageError` for a
    share that is not over 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise UsageError(f"share {share:g} of tokens is not possible, expected a number over 0 and at most 1")
    fitted = (standardization, *standardization.others)

    def kept(streams: Sequence[Tensor]) -> list[Tensor]:
        return [_kept(tokens, share, own) for tokens, own in zip(streams, fitted, strict=True)]

    return kept


def tokens_kept(tokens: int, share: float) -> int:
    """Returns how many of so many tokens a share is.

    >>> tokens_kept(10, 0.25), tokens_kept(3, 0.01)
    (2, 1)
    """
    return max(1, round(tokens * share))


def _kept(tokens_BND: Tensor, share: float, standardization: Standardization) -> Tensor:
    norms_BN = (tokens_BND * standardization.token_scale + standardization.token_mean).norm(dim=-1)
    count = tokens_kept(tokens_BND.shape[1], share)
    chosen_BK = norms_BN.argsort(dim=1, descending=True, stable=True)[:, :count]
    stays_BN = torch.zeros_like(norms_BN, dtype=torch.bool).scatter(1, chosen_BK, True)
    return tokens_BND * stays_BN[..., None]
