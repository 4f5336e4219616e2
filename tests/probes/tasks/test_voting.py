"""Boxes that tokens vote for, against averages that numpy takes."""

import numpy as np
import torch

from foresight_cache.samples import Grid
from foresight_probes.tasks.kinds.voting import voted_boxes
from tests.support.task_samples import load, sample, slots, thing, tokens

TRUTH = np.array([[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]])


def scattered(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes about two true ones in turn, with errors, and scores."""
    generator = np.random.default_rng(0)
    boxes = TRUTH[np.arange(count) % 2] + generator.normal(size=(count, 4)) / 50
    return torch.from_numpy(boxes).float(), torch.from_numpy(generator.uniform(0.2, 1, count)).float()


def test_each_box_is_the_mean_of_those_about_it_by_the_fourth_power_of_their_scores() -> None:
    boxes, scores = scattered(30)
    found = voted_boxes(boxes, scores.log(), torch.tensor([4, 11]))
    for row in range(2):
        expected = np.average(boxes[row::2], axis=0, weights=scores[row::2] ** 4)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)
    assert np.abs(found.numpy() - TRUTH).max() < 0.5 * np.abs(boxes[[4, 11]].numpy() - TRUTH).max()


def test_other_classes_have_no_vote() -> None:
    boxes, scores = scattered(30)
    classes = torch.arange(30) % 4 // 2
    found = voted_boxes(boxes, scores.log(), torch.tensor([4]), classes)
    own = np.arange(30) % 4 == 0
    np.testing.assert_allclose(found[0], np.average(boxes[own], axis=0, weights=scores[own] ** 4), atol=1e-6)


def test_scores_of_zero_and_boxes_without_area() -> None:
    boxes = torch.tensor([[0.2, 0.2, 0.2, 0.2], [0.4, 0.4, 0.6, 0.6]])
    assert torch.equal(voted_boxes(boxes, torch.zeros(2).log(), torch.tensor([0, 1])), boxes)
    assert voted_boxes(boxes, torch.zeros(2), torch.tensor([], dtype=torch.int64)).shape == (0, 4)


def test_tokens_vote_and_predictions_of_the_whole_sample_do_not() -> None:
    """Two boxes, each wrong by as much to its own side, whose mean is right; scores are equal."""
    row = sample(objects=[thing([50, 0, 150, 100], 0)])
    values = torch.zeros(1, 2, 5)
    values[0, :, 3] = 30.0  # full height
    by_tokens = tokens(values, Grid(1, 1, 2))  # centres 0.25 and 0.75
    values = values.clone()
    values[0, :, 0] = torch.tensor([0.4, 0.6]).logit()
    by_slots = slots(values.tolist())
    by_tokens.values[0, :, 0] = torch.tensor([1.5, -1.5])  # centres 0.4 and 0.6
    for name in ("boxes", "position"):
        task = load(name, row)
        target = task.target(row)
        assert target is not None
        apart, together = (task.metrics(task.scores(each, [target]))["mean_iou"] for each in (by_slots, by_tokens))
        assert apart < 0.7
        assert together > 0.99
