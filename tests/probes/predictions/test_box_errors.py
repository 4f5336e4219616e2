"""Errors of boxes against cases worked by hand."""

import numpy as np
import pytest
import torch

from foresight_probes.metrics.box_metrics import matched_iou
from foresight_probes.predictions.box_errors import box_errors, quantile, summary, within


def test_the_best_match_may_be_shared_and_the_matched_one_not() -> None:
    """Two objects of half the box each, and a second box that hits the right one by a quarter of its area."""
    truth = torch.tensor([[0.0, 0.0, 0.2, 0.4], [0.2, 0.0, 0.4, 0.4]])
    boxes = torch.tensor([[0.0, 0.0, 0.4, 0.4], [0.3, 0.2, 0.4, 0.4]])
    errors = box_errors(boxes, truth, height=100, width=200)
    assert errors[:, 0] == pytest.approx([0.5, 0.5])  # both by the large box
    assert matched_iou(boxes, truth) == pytest.approx([0.5, 0.25])
    # left: centre (0.2, 0.2) against (0.1, 0.2) of 200×100 pixels; right: (0.35, 0.3) against (0.3, 0.2)
    assert errors[:, 1] == pytest.approx([20, np.hypot(10, 10)])
    assert errors[:, 2] == pytest.approx([(0 + 0 + 40 + 0) / 4, (20 + 20 + 0 + 0) / 4], abs=1e-4)


def test_objects_without_a_box_and_boxes_that_hit_nothing() -> None:
    truth = torch.tensor([[0.0, 0.0, 0.1, 0.1], [0.8, 0.8, 0.9, 0.9]])
    none = box_errors(torch.zeros(0, 4), truth, height=10, width=10)
    assert none.tolist() == [[0, np.inf, np.inf]] * 2
    far = torch.tensor([[0.7, 0.7, 0.75, 0.75], [0.2, 0.2, 0.3, 0.3]])
    errors = box_errors(far, truth, height=100, width=100)
    assert errors[:, 0].tolist() == [0, 0]
    assert errors[:, 1] == pytest.approx([np.hypot(20, 20), np.hypot(12.5, 12.5)], abs=1e-4)  # the nearer ones


def test_metrics_against_numpy() -> None:
    generator = np.random.default_rng(0)
    scores = [generator.uniform(0, 40, (count, 3)) for count in (1, 4, 2, 5)]
    objects = np.concatenate(scores)
    counts = np.ones((1, 4), int)
    found = summary([own.reshape(-1) for own in scores], counts)
    assert found["best_match_iou"][0] == pytest.approx(objects[:, 0].mean())
    assert found["centre_error_pixels"][0] == pytest.approx(np.median(objects[:, 1]))
    assert found["side_error_pixels"][0] == pytest.approx(np.median(objects[:, 2]))
    shares = within([own.reshape(-1) for own in scores], counts, (32.0, 8.0))
    assert shares["share_within_8"][0] == pytest.approx((objects[:, 2] <= 8).mean())
    assert shares["side 90 %"][0] == np.quantile(objects[:, 2], 0.9, method="inverted_cdf")
    doubled = quantile(objects[:, 1], np.repeat([[2, 0, 1, 1]], [1, 4, 2, 5], axis=1), 0.9)
    again = np.concatenate([scores[0], scores[0], scores[2], scores[3]])[:, 1]
    assert doubled[0] == np.quantile(again, 0.9, method="inverted_cdf")
