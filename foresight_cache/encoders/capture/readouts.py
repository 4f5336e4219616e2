"""Readouts of a tap: its tokens, or one vector for each sample."""

from collections.abc import Sequence

import torch


def mean(samples_ND: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Returns the mean of each sample's tokens as [1, D] of the same type, accumulated in float32.

    In bfloat16 a sum stops growing once an addend is less than half its last place:

    >>> ones = torch.full((1000, 1), 1.0, dtype=torch.bfloat16)
    >>> mean([ones])[0].item()
    1.0
    """
    return [tokens.mean(dim=0, keepdim=True, dtype=torch.float32).to(tokens.dtype) for tokens in samples_ND]


def last(samples_ND: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Returns the last token of each sample, [1, D], as a copy that does not keep the others in memory.

    >>> last([torch.tensor([[1.0], [2.0]])])[0].tolist()
    [[2.0]]
    """
    return [tokens[-1:].clone() for tokens in samples_ND]


def concat_images(images_ND: Sequence[torch.Tensor], counts: torch.Tensor | None) -> list[torch.Tensor]:
    """Concatenates the tokens of each sample's images; `counts` [B] are its images, None is one image each.

    >>> one, two = torch.zeros(2, 1), torch.ones(1, 1)
    >>> [tokens.flatten().tolist() for tokens in concat_images([one, two, one], torch.tensor([2, 1]))]
    [[0.0, 0.0, 1.0], [0.0, 0.0]]
    """
    if counts is None:
        return list(images_ND)
    remaining = iter(images_ND)
    return [torch.cat([next(remaining) for _ in range(count)]) for count in counts.tolist()]
