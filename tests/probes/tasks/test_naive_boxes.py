"""Boxes without matching, by hand."""

import pytest
import torch

from tests.support.task_samples import load, sample, slots, thing, value


class TestNaiveBoxes:
    def test_slots_are_objects_in_the_order_of_annotation(self) -> None:
        task = load("naive-boxes")
        small, large = thing([0, 0, 20, 10]), thing([0, 0, 200, 100])
        assert value(task.target(sample(objects=[small, large]))) == [
            pytest.approx([0, 0, 0.1, 0.1]),
            pytest.approx([0, 0, 1, 1]),
        ]
        assert task.target(sample(objects=[thing([0, 0, 1, 1], crowd=True)])) is None

    def test_the_loss_pulls_unused_slots_to_zero(self) -> None:
        """The value 0 is a half by the sigmoid: 0.5 from each side of the first box, and from the zeros of nine."""
        task = load("naive-boxes")
        assert task.loss(slots([[[0.0] * 4] * 10]), [torch.tensor([[0.0, 0, 1, 1]])]).item() == 0.5
        right = torch.full((1, 10, 4), -30.0)
        right[0, 0, 2:] = 30
        assert task.loss(slots(right.tolist()), [torch.tensor([[0.0, 0, 1, 1]])]).item() == pytest.approx(0)

    def test_a_slot_is_given_the_box_that_it_covers_best(self) -> None:
        """Both slots repeat the second object, and both count, which is what makes its numbers generous."""
        task = load("naive-boxes")
        repeated = torch.full((1, 10, 4), -30.0)
        repeated[0, :2] = torch.tensor([0.5, 0.5, 0.9999999, 0.9999999]).logit()
        truth = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0]])
        assert task.scores(slots(repeated.tolist()), [truth])[0] == pytest.approx([1, 1], abs=1e-4)
