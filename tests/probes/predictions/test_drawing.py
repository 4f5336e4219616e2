"""Drawn pictures: lines where boxes are, colours that tell classes apart, sizes that fit a page."""

import numpy as np
import pytest

from foresight_probes.predictions import drawing


def test_true_boxes_are_unbroken_and_predicted_ones_broken() -> None:
    """A box of an input of 448×448 pixels, of which rows 112 to 336 are shown, at half the size."""
    picture = np.full((448, 448, 3), 90, np.uint8)
    true, found = np.array([[0.25, 0.375, 0.5, 0.625]]), np.array([[0.75, 0.375, 0.9, 0.625]])
    shown = drawing.with_boxes(picture, true, found, (slice(112, 336), slice(0, 448)))
    assert shown.shape == (112, 224, 3)
    assert (shown[28:84, 56] == drawing.TRUE).all()  # rows (168 - 112) / 2 to (280 - 112) / 2
    dashes = (shown[28:84, 168] == drawing.PREDICTED).all(-1)
    assert 0.3 < dashes.mean() < 0.8
    assert (shown[50, 100] == 90).all()


def test_sizes() -> None:
    for height, width in ((448, 448), (30, 500), (32, 32), (224, 224), (7, 3)):
        shown = drawing.plain(np.zeros((height, width, 3), np.uint8))
        assert max(shown.shape) <= drawing.SIDE
        assert shown.shape[0] / shown.shape[1] == pytest.approx(height / width, rel=0.1)


def test_error_maps_are_brighter_where_errors_are_larger() -> None:
    truth = np.zeros((8, 8, 3))
    found = truth.copy()
    found[:, 4:] = 0.25
    shown = drawing.error_map(found, truth)
    assert shown[:, :112].max() <= 5  # magma begins with black
    assert shown[:, 112:].max() > 100
    assert np.array_equal(drawing.error_map(truth + 0.5, truth), drawing.error_map(truth + 0.9, truth))


def test_classes_have_colours_and_the_ground_none() -> None:
    picture = np.full((224, 224, 3), 100, np.uint8)
    shown = drawing.class_map(picture, np.array([[0, 1], [2, -1]]))
    corners = [tuple(shown[row, column]) for row, column in ((10, 10), (10, 200), (200, 10), (200, 200))]
    assert corners[0] == (100, 100, 100)
    assert corners[3] == tuple((np.array(drawing.NO_CLASS) + 100) // 2)
    assert len(set(corners)) == 4
