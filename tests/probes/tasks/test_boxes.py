"""Targets from annotations, decoding, and a loss that is least where the boxes are right."""

from typing import Any

import pytest
import torch

from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.batches import Prediction
from foresight_probes.features.patches import grid_cells
from foresight_probes.tasks.boxes import MOST, REACH, START_SCORE, decode

TASK = tasks.load("boxes")


def sample(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"width": 200, "height": 100, "annotations": {"objects": list(objects)}}


def slots(boxes: list[list[float]], logits: list[float]) -> Prediction:
    """A prediction from the whole sample whose decoded boxes are these."""
    x0, y0, x1, y1 = torch.tensor(boxes, dtype=torch.float64).unbind(-1)
    values = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=-1).logit()
    values = torch.cat([values, torch.tensor(logits)[:, None]], dim=-1)[None].float()
    return Prediction(values=values, mask=torch.ones(values.shape[:2], dtype=torch.bool))


def test_targets_are_fractions_of_width_and_of_height() -> None:
    target = TASK.target(sample({"box": [20, 20, 120, 60]}))
    assert target is not None
    torch.testing.assert_close(target, torch.tensor([[0.1, 0.2, 0.6, 0.6]]))


def test_crowds_and_boxes_without_area_are_left_out() -> None:
    target = TASK.target(sample({"box": [0, 0, 200, 100], "crowd": True}, {"box": [5, 5, 5, 9]}, {"box": [0, 0, 2, 1]}))
    assert target is not None
    torch.testing.assert_close(target, torch.tensor([[0.0, 0.0, 0.01, 0.01]]))
    assert TASK.target(sample({"box": [0, 0, 200, 100], "crowd": True})) is None
    assert TASK.target(sample()) is None
    assert TASK.target({"width": 1, "height": 1, "annotations": {}}) is None


def test_the_largest_ten_are_kept() -> None:
    target = TASK.target(sample(*({"box": [0, 0, side, side]} for side in range(1, 16))))
    assert target is not None
    assert target[:, 3].tolist() == pytest.approx([side / 100 for side in range(15, 5, -1)])
    assert len(target) == MOST


def test_a_box_that_leaves_the_image_is_cut() -> None:
    target = TASK.target(sample({"box": [-20, 50, 100, 140]}))
    assert target is not None
    torch.testing.assert_close(target, torch.tensor([[0.0, 0.5, 0.5, 1.0]]))


def test_tokens_predict_about_their_own_place() -> None:
    """The same values at token (row 1, column 2) of 2×4 and elsewhere give boxes that lie as the tokens do."""
    values = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0]).expand(1, 8, 5)
    boxes, _ = decode(Prediction(values=values, mask=torch.ones(1, 8), cells=grid_cells(Grid(1, 2, 4))[None]))
    centre = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2
    assert centre[6].tolist() == pytest.approx([2.5 / 4 + REACH, 1.5 / 2 - REACH])
    assert (centre[6] - centre[1]).tolist() == pytest.approx([1 / 4, 1 / 2])
    assert (boxes[0, :, 2:] - boxes[0, :, :2]).unique().tolist() == [0.5]


def test_the_right_boxes_have_the_least_loss_in_any_order() -> None:
    truth = [[0.1, 0.1, 0.3, 0.4], [0.5, 0.5, 0.9, 0.8]]
    target = [torch.tensor(truth)]
    right = TASK.loss(slots([*truth, [0.4, 0.1, 0.5, 0.2]], [9.0, 9.0, -9.0]), target)
    turned = TASK.loss(slots([[0.4, 0.1, 0.5, 0.2], *truth[::-1]], [-9.0, 9.0, 9.0]), target)
    moved = TASK.loss(slots([[0.15, 0.1, 0.35, 0.4], truth[1], [0.4, 0.1, 0.5, 0.2]], [9.0, 9.0, -9.0]), target)
    unsure = TASK.loss(slots([*truth, [0.4, 0.1, 0.5, 0.2]], [9.0, -9.0, 9.0]), target)
    assert right.item() == pytest.approx(turned.item(), abs=1e-4)
    assert right < 0.01
    assert moved > right + 0.1
    assert unsure > right + 0.1


def test_the_loss_by_hand() -> None:
    """One slot covers half of one object: 5 · 0.25 for the side, 2 · (1 - 0.5) for GIoU, ln 2 for the score."""
    found = TASK.loss(slots([[0.25, 0.25, 0.5, 0.75]], [0.0]), [torch.tensor([[0.25, 0.25, 0.75, 0.75]])])
    assert found.item() == pytest.approx(5 * 0.25 + 2 * 0.5 + 0.693147, abs=1e-4)


def test_objects_weigh_the_same_whatever_their_size() -> None:
    """Tokens that all miss by as much: a large object, seen by many, must not count for more than a small one."""
    grid = grid_cells(Grid(1, 8, 8))[None]
    mask = torch.ones(1, 64, dtype=torch.bool)
    values = torch.zeros(1, 64, 5)
    values[..., 4] = -30.0  # so that the score is right where no object is, and costs little else
    values.requires_grad_(True)
    truth = torch.tensor([[0.0, 0.0, 0.75, 0.75], [0.9, 0.9, 1.0, 1.0]])
    TASK.loss(Prediction(values=values, mask=mask, cells=grid), [truth]).backward()
    assert values.grad is not None
    pull = values.grad[0, :, 2:4].abs().sum(-1).reshape(8, 8)
    assert pull[:6, :6].sum() / pull[7, 7] < 3
    assert pull[7, 7] > 10 * pull[:6, :6].mean()


def test_missing_tokens_cost_nothing_and_are_never_the_answer() -> None:
    grid = grid_cells(Grid(1, 2, 2))[None]
    values = torch.zeros(1, 4, 5)
    values[0, 3, 4] = 50.0  # padding that is very sure of itself
    mask = torch.tensor([[True, True, True, False]])
    target = [torch.tensor([[0.0, 0.0, 0.5, 0.5]])]
    padded = TASK.loss(Prediction(values=values, mask=mask, cells=grid), target)
    short = TASK.loss(Prediction(values=values[:, :3], mask=mask[:, :3], cells=grid[:, :3]), target)
    assert padded.item() == pytest.approx(short.item())
    with_padding = TASK.scores(Prediction(values=values, mask=mask, cells=grid), target)[0]
    without = TASK.scores(Prediction(values=values[:, :3], mask=mask[:, :3], cells=grid[:, :3]), target)[0]
    assert with_padding.tolist() == without.tolist()


def test_values_to_start_from_by_hand() -> None:
    """Of a box on the upper half of a 2×2 grid, and of one in its lower right corner."""
    target = torch.tensor([[0.0, 0.0, 1.0, 0.5], [0.7, 0.8, 0.9, 0.9]])
    found = TASK.start_values(target, grid_cells(Grid(1, 2, 2)))
    upper, corner = (0.0, 4.595, 0.0), (0.5, 1.0, -1.386, -2.197)  # logits of 0.99, 0.5, 0.2 and 0.1
    expected = [
        [2.5, *upper, START_SCORE],
        [-2.5, *upper, START_SCORE],
        [*(torch.nan,) * 4, -START_SCORE],
        [*corner, START_SCORE],
    ]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-3, rtol=0, equal_nan=True)
    whole = TASK.start_values(target, None)
    assert whole.shape == (MOST, 5)
    expected = [[0.0, -1.099, 4.595, 0.0, START_SCORE], [1.386, 1.735, -1.386, -2.197, START_SCORE]]
    torch.testing.assert_close(whole[:2], torch.tensor(expected), atol=1e-3, rtol=0)
    assert torch.equal(whole[2:], torch.tensor([0.0, 0.0, 0.0, 0.0, -START_SCORE]).expand(MOST - 2, 5))


def test_values_to_start_from_are_the_boxes() -> None:
    """For the cells that have one, and for the whole sample, with the score of what is there."""
    generator = torch.Generator().manual_seed(0)
    for number in range(20):
        low, size = (
            torch.rand(2, 1 + number % 4, 2, generator=generator) * 0.4 + torch.tensor([0.1, 0.05])[:, None, None]
        )
        target = torch.cat([low, low + size], dim=1)
        cells = grid_cells(Grid(1, 8, 6))
        values = TASK.start_values(target, cells)
        boxes, logits = decode(Prediction(values=values[None], mask=torch.ones(1, 48), cells=cells[None]))
        known = ~values[:, 0].isnan()
        assert torch.equal(logits[0] > 0, known)
        away = (boxes[0, known, None] - target).abs().amax(-1)
        assert away.amin(1).max() < 1e-5
        whole = TASK.start_values(target, None)
        boxes, logits = decode(Prediction(values=whole[None], mask=torch.ones(1, MOST)))
        torch.testing.assert_close(boxes[0, : len(target)], target, atol=1e-5, rtol=0)
        assert (logits[0] > 0).tolist() == [True] * len(target) + [False] * (MOST - len(target))
