"""Overlap against torchvision and by hand; the evaluation against a search over all matchings."""

import itertools

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou, generalized_box_iou

from foresight_probes.metrics.box_metrics import (
    by_count,
    centre_error,
    iou_and_giou,
    object_scores,
    size_error,
    summary,
)
from foresight_probes.metrics.resamples import point_estimate


def random_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed))
    return torch.cat([corners.min(1).values, corners.max(1).values], dim=1)


def test_overlap_equals_torchvision() -> None:
    first, second = random_boxes(40, 0), random_boxes(30, 1)
    iou, giou = iou_and_giou(first[:, None], second[None])
    torch.testing.assert_close(iou, box_iou(first, second))
    torch.testing.assert_close(giou, generalized_box_iou(first, second))


@pytest.mark.parametrize(
    ("first", "second", "iou", "giou"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1, 1),
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7, 1 / 7 - 2 / 9),  # 1 of 7; the box around is 9, 2 of it empty
        ([0, 0, 1, 1], [1, 0, 2, 1], 0, 0),  # touching: the box around is full
        ([0, 0, 1, 1], [3, 3, 4, 4], 0, -14 / 16),
        ([0, 0, 4, 4], [1, 1, 2, 2], 1 / 16, 1 / 16),  # inside: the box around is the larger one
        ([1, 1, 1, 1], [1, 1, 1, 1], 0, 0),  # no area
    ],
)
def test_overlap_by_hand(first: list[float], second: list[float], iou: float, giou: float) -> None:
    found = iou_and_giou(torch.tensor(first).float(), torch.tensor(second).float())
    assert [value.item() for value in found] == pytest.approx([iou, giou])


def test_generalised_overlap_leads_boxes_together() -> None:
    """Where boxes lie apart IoU has no slope; GIoU pulls them towards each other."""
    box = torch.tensor([0.0, 0.0, 1.0, 1.0], requires_grad=True)
    iou_and_giou(box, torch.tensor([2.0, 0.0, 3.0, 1.0]))[1].backward()
    assert box.grad is not None
    assert box.grad[2] > 0


@pytest.mark.parametrize("seed", range(20))
def test_matching_is_the_best_of_all(seed: int) -> None:
    """With as many well separated predictions as objects the score is the best sum over all permutations."""
    count = 1 + seed % 4
    truth = random_boxes(count, seed)
    corner = torch.arange(count)[:, None] * torch.tensor([[0.24, 0.1]])
    boxes = torch.cat([corner, corner + torch.tensor([[0.22, 0.4]])], dim=1)  # disjoint, so none is suppressed
    iou = box_iou(boxes, truth).double()
    best = max(sum(iou[row, column] for column, row in enumerate(p)) for p in itertools.permutations(range(count)))
    found = object_scores(boxes, torch.rand(count), truth)
    assert found.sum() == pytest.approx(float(best), abs=1e-6)


def test_only_as_many_predictions_count_as_there_are_objects() -> None:
    """Covering the image with boxes buys nothing: the right one is looked at only if its score says so."""
    truth = torch.tensor([[0.4, 0.4, 0.6, 0.6]])
    grid = torch.cartesian_prod(torch.arange(5), torch.arange(5)) / 5
    tiling = torch.cat([grid, grid + 0.2], dim=1)
    right = int(box_iou(tiling, truth)[:, 0].argmax())
    scores = torch.linspace(0.9, 0.1, 25)
    assert object_scores(tiling, scores, truth).tolist() == [0.0]
    scores[right] = 1.0
    assert object_scores(tiling, scores, truth) == pytest.approx([1.0], abs=1e-5)


def test_duplicates_are_suppressed() -> None:
    """Two objects; the two surest predictions are the same box, so the third is what finds the second object."""
    truth = torch.tensor([[0.0, 0.0, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]])
    boxes = torch.tensor([[0.0, 0.0, 0.3, 0.3], [0.0, 0.0, 0.3, 0.31], [0.6, 0.6, 0.9, 0.9]])
    assert object_scores(boxes, torch.tensor([0.9, 0.8, 0.1]), truth) == pytest.approx([1, 1])


def test_an_object_without_a_prediction_scores_zero() -> None:
    truth = torch.tensor([[0.0, 0.0, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]])
    assert object_scores(truth[1:], torch.ones(1), truth).tolist() == [0.0, 1.0]
    assert object_scores(truth[:0], torch.ones(0), truth).tolist() == [0.0, 0.0]


def test_summary_counts_objects_and_not_images() -> None:
    found = point_estimate(summary, [np.array([1.0]), np.array([0.6, 0.4, 0.0])])
    assert found == {"mean_iou": 0.5, "median_iou": 0.5, "share_above_0.5": 0.5, "share_above_0.7": 0.25}


def test_every_image_is_in_exactly_one_part() -> None:
    scores = [np.full(count, count / 10) for count in (1, 2, 3, 4, 5, 6, 9)]
    parts = by_count(scores)
    assert {name: part["images"] for name, part in parts.items()} == {"1": 1, "2": 1, "3": 1, "4-5": 2, "6+": 2}
    assert sum(part["objects"] for part in parts.values()) == 30
    assert parts["4-5"]["mean_iou"] == pytest.approx((4 * 0.4 + 5 * 0.5) / 9)


def test_centre_and_size_errors_by_hand() -> None:
    """The centre moved by (0.3, -0.4) is 0.5 away; 20 % too wide and 40 % too low is 30 % on average."""
    truth = torch.tensor([0.1, 0.5, 0.3, 0.6])
    centre, half = (truth[:2] + truth[2:]) / 2 + torch.tensor([0.3, -0.4]), torch.tensor([0.12, 0.03])
    found = torch.cat([centre - half, centre + half])
    assert centre_error(found, truth).item() == pytest.approx(0.5)
    assert size_error(found, truth).item() == pytest.approx((0.2 + 0.4) / 2)
    assert centre_error(truth, truth).item() == size_error(truth, truth).item() == 0
