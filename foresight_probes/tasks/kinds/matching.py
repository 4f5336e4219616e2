"""Which prediction is trained towards which true object."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def hungarian(cost: Tensor, counts: Tensor) -> Tensor:
    """One prediction for each object, so that the sum of costs is least.

    Args:
        cost: [B, P, K] float; columns from a sample's count on are padding.
        counts: [B] integers, the numbers of objects; at most P.

    Returns: [B, P] int64, the object of each prediction or -1.

    >>> cost = torch.tensor([[[1.0, 0.0], [0.9, 0.8], [9.0, 9.0]]])
    >>> hungarian(cost, torch.tensor([2])).tolist()  # 0.0 + 0.9 is less than 1.0 + 0.8
    [[1, 0, -1]]
    """
    objects = torch.full(cost.shape[:2], -1, dtype=torch.int64)
    for sample, (table, count) in enumerate(zip(cost.detach().cpu().numpy(), counts.tolist(), strict=True)):
        rows, columns = linear_sum_assignment(table[:, :count])
        objects[sample, torch.from_numpy(rows)] = torch.from_numpy(columns)
    return objects.to(cost.device)


def by_cell(cells: Tensor, mask: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
    """Several predictions for each object: those made from cells whose centre lies in its box.

    Where boxes overlap the smallest takes the cell, as in FCOS (Tian et al., ICCV 2019). A box so small that it
    holds no centre takes the nearest cell.

    Args:
        cells: [B, P, 4] float, centre x, centre y, width, height.
        mask: [B, P] bool, which predictions exist.
        truth: [B, K, 4] float boxes; those from a sample's count on are padding.
        counts: [B] integers.

    Returns: [B, P] int64, the object of each prediction or -1.

    >>> centres = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    >>> cells = torch.tensor([[[*centre, 0.5, 0.5] for centre in centres]])
    >>> truth = torch.tensor([[[0.0, 0.0, 1.0, 0.6], [0.9, 0.9, 1.0, 1.0]]])
    >>> by_cell(cells, torch.ones(1, 4, dtype=torch.bool), truth, torch.tensor([2])).tolist()
    [[0, 0, -1, 1]]
    """
    centres = cells[:, :, None, :2]
    low, high = truth[:, None, :, :2], truth[:, None, :, 2:]
    real = (torch.arange(truth.shape[1], device=truth.device) < counts[:, None])[:, None] & mask[:, :, None]
    inside = ((centres >= low) & (centres < high)).all(-1) & real
    area = (high - low).prod(-1).masked_fill(~inside, torch.inf)
    smallest, objects = area.min(-1)
    objects = objects.masked_fill(smallest.isinf(), -1)
    distance = (centres - (low + high) / 2).norm(dim=-1).masked_fill(~real, torch.inf)
    missed = real.any(1) & ~(objects[:, :, None] == torch.arange(truth.shape[1], device=truth.device)).any(1)
    for sample, column in missed.nonzero().tolist():
        objects[sample, distance[sample, :, column].argmin()] = column
    return objects
