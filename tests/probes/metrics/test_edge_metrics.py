"""Canny edges of known pictures, and their F1 against distances to every true edge pixel, worked out one by one."""

import numpy as np
import pytest
from skimage.feature import canny

from foresight_probes.metrics.edge_metrics import clip_edge_f1, edge_f1, edge_map


def square(side: int = 32) -> np.ndarray:
    picture = np.zeros((side, side, 3), np.uint8)
    picture[8:24, 8:24] = 255
    return picture


def brute_force(found: np.ndarray, truth: np.ndarray, tolerance: int) -> float:
    def share(some: np.ndarray, others: np.ndarray) -> float:
        near = [np.abs(np.argwhere(others) - place).max(1).min() <= tolerance for place in np.argwhere(some)]
        return float(np.mean(near))

    precision, recall = share(found, truth), share(truth, found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_f1_by_brute_force(tolerance: int) -> None:
    generator = np.random.default_rng(tolerance)
    for density in (0.02, 0.1, 0.4):
        found, truth = (generator.random((12, 17)) < density for _ in range(2))
        assert edge_f1(found, truth, tolerance) == pytest.approx(brute_force(found, truth, tolerance))


def test_the_edges_of_a_square_are_its_border() -> None:
    edges = edge_map(square())
    rows, columns = np.nonzero(edges)
    border = (
        np.minimum(np.abs(rows - 7.5), np.abs(rows - 23.5))
        .clip(max=np.abs(columns - 7.5))
        .clip(max=np.abs(columns - 23.5))
    )
    assert border.max() <= 0.5
    assert 60 <= edges.sum() <= 72  # inside or outside of a side of 16 pixels


def test_uint8_and_float_are_the_same_picture() -> None:
    np.testing.assert_array_equal(edge_map(square()), edge_map(square() / 255))


def test_it_is_scikit_images_canny_on_the_luminance() -> None:
    picture = np.random.default_rng(0).random((40, 30, 3))
    grey = picture @ [0.2125, 0.7154, 0.0721]
    expected = canny(grey, sigma=1.0, low_threshold=0.1, high_threshold=0.2)
    assert expected.any()
    np.testing.assert_array_equal(edge_map(picture), expected)


def test_an_edge_one_pixel_away_is_found_and_two_pixels_away_is_not() -> None:
    truth = edge_map(square())
    assert edge_f1(truth, truth) == 1
    assert edge_f1(np.roll(truth, 1, axis=1), truth) == 1
    assert edge_f1(np.roll(truth, 2, axis=1), truth) < 0.8


def test_pictures_without_edges() -> None:
    nothing, something = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert edge_f1(nothing, nothing) == 1
    assert edge_f1(nothing, something) == edge_f1(something, nothing) == 0


def test_a_clip_is_the_mean_of_its_frames() -> None:
    nothing, something = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert clip_edge_f1([something, nothing], [something, something]) == 0.5
