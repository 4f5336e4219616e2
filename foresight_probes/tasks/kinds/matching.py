"""Assignment of predictions to the true objects that they are trained towards."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def hungarian(cost_BPK: Tensor, counts_B: Tensor) -> Tensor:
    """Assigns one prediction to each object, so that the sum of costs is least.

    The assignment problem of Kuhn, "The Hungarian Method for the Assignment Problem" (Naval Research Logistics 1955).

    Args:
        cost_BPK: Costs, float; columns from a sample's count on are padding.
        counts_B: Numbers of objects, at most P.

    Returns: [B, P] int64, the object of each prediction or -1.

    >>> cost = torch.tensor([[[1.0, 0.0], [0.9, 0.8], [9.0, 9.0]]])
    >>> hungarian(cost, torch.tensor([2])).tolist()  # 0.0 + 0.9 is less than 1.0 + 0.8
    [[1, 0, -1]]
    """
    objects = torch.full(cost_BPK.shape[:2], -1, dtype=torch.int64)
    for sample, (table, count) in enumerate(zip(cost_BPK.detach().cpu().numpy(), counts_B.tolist(), strict=True)):
        rows, columns = linear_sum_assignment(table[:, :count])
        objects[sample, torch.from_numpy(rows)] = torch.from_numpy(columns)
    return objects.to(cost_BPK.device)


def object_shares(objects_BP: Tensor) -> Tensor:
    """Returns 1 / (number of predictions assigned to the same object) of each prediction, 0 where there is no object.

    So weighted, objects count the same in a sum, however many predictions are trained towards them.

    >>> object_shares(torch.tensor([[0, 0, 1, -1]])).tolist()
    [[0.5, 0.5, 1.0, 0.0]]
    """
    columns_BP = objects_BP + 1
    counts_BK = torch.zeros(len(objects_BP), int(columns_BP.max()) + 1, device=objects_BP.device)
    counts_BK.scatter_add_(1, columns_BP, torch.ones_like(columns_BP, dtype=counts_BK.dtype))
    return (1 / counts_BK.gather(1, columns_BP)).masked_fill(objects_BP < 0, 0)


def in_any(points_N2: Tensor, boxes_K4: Tensor) -> Tensor:
    """Tells which points (x, y) lie in one of the boxes, [N] bool.

    >>> in_any(torch.tensor([[0.2, 0.5], [0.6, 0.5]]), torch.tensor([[0.5, 0.0, 1.0, 1.0]])).tolist()
    [False, True]
    """
    boxes, points = boxes_K4.to(points_N2), points_N2[:, None]
    return ((points >= boxes[:, :2]) & (points < boxes[:, 2:])).all(-1).any(-1)


def by_cell(cells_BP4: Tensor, mask_BP: Tensor, truth_BK4: Tensor, counts_B: Tensor) -> Tensor:
    """Assigns to each object the predictions made from cells whose centre lies in its box.

    Where boxes overlap the smallest takes the cell, as in FCOS (Tian et al., ICCV 2019). A box so small that it
    holds no centre takes the nearest cell.

    Args:
        cells_BP4: Cells, float: centre x, centre y, width, height.
        mask_BP: True where there is a prediction.
        truth_BK4: Boxes, float; those from a sample's count on are padding.
        counts_B: Numbers of objects.

    Returns: [B, P] int64, the object of each prediction or -1.

    >>> centres = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    >>> cells = torch.tensor([[[*centre, 0.5, 0.5] for centre in centres]])
    >>> truth = torch.tensor([[[0.0, 0.0, 1.0, 0.6], [0.9, 0.9, 1.0, 1.0]]])
    >>> by_cell(cells, torch.ones(1, 4, dtype=torch.bool), truth, torch.tensor([2])).tolist()
    [[0, 0, -1, 1]]
    """
    centres = cells_BP4[:, :, None, :2]
    low, high = truth_BK4[:, None, :, :2], truth_BK4[:, None, :, 2:]
    columns = torch.arange(truth_BK4.shape[1], device=truth_BK4.device)
    real = (columns < counts_B[:, None])[:, None] & mask_BP[:, :, None]
    inside = ((centres >= low) & (centres < high)).all(-1) & real
    area = (high - low).prod(-1).masked_fill(~inside, torch.inf)
    smallest, objects = area.min(-1)
    objects = objects.masked_fill(smallest.isinf(), -1)
    distance = (centres - (low + high) / 2).norm(dim=-1).masked_fill(~real, torch.inf)
    missed = real.any(1) & ~(objects[:, :, None] == columns).any(1)
    for sample, column in missed.nonzero().tolist():
        objects[sample, distance[sample, :, column].argmin()] = column
    return objects
