"""Lost frequencies of pictures that are filtered by a known filter, and errors at boundaries that are drawn there."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.feature import canny
from skimage.segmentation import find_boundaries

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes.metrics.resamples import point_estimate
from foresight_probes.predictions.boundaries import Boundaries, boundaries, label_changes, region_errors
from foresight_probes.predictions.shown import input_frame
from foresight_probes.predictions.spectra import EDGES, KEPT, band_energies, centres, kept, lost_from


def grey(values_HW: np.ndarray) -> np.ndarray:
    return np.repeat(values_HW[..., None], 3, axis=2)


def shares(found: np.ndarray, truth: np.ndarray) -> dict[int, float]:
    energies = band_energies(found, truth).reshape(-1)
    return {int(name.removeprefix(KEPT)): value for name, value in point_estimate(kept, [energies]).items()}


def test_what_a_gaussian_blur_keeps() -> None:
    """Its transfer function H is exp(-2 π² σ² f²); the error's energy is (1 - H)² of the original's."""
    noise = 0.5 + 0.1 * np.random.default_rng(0).standard_normal((256, 256))
    found = shares(grey(gaussian_filter(noise, 2.0, mode="wrap")), grey(noise))
    for band, middle in enumerate(centres()):
        if band in found and middle > 0.02:
            transfer = np.exp(-2 * (np.pi * 2.0 * middle) ** 2)
            assert found[band] == pytest.approx(1 - (1 - transfer) ** 2, abs=0.12)
    # 1 - (1 - H)² is a half where H is 1 - 1/√2
    limit = np.sqrt(-np.log(1 - 0.5**0.5) / 2) / (np.pi * 2.0)
    lost = lost_from(found)
    assert lost is not None
    assert lost / limit == pytest.approx(1, rel=0.25)  # half an octave


def test_a_wave_that_is_gone_is_lost_in_its_band_alone() -> None:
    row = np.arange(128)
    slow, fast = (0.2 * np.cos(2 * np.pi * row / period)[None] * np.ones((128, 1)) for period in (16, 3))
    found = shares(grey(0.5 + slow), grey(0.5 + slow + fast))
    bands = {period: int(np.digitize(1 / period, EDGES) - 1) for period in (16, 3)}
    assert found[bands[16]] > 0.999
    assert found[bands[3]] == pytest.approx(0, abs=0.001)
    assert lost_from(found) == EDGES[bands[3]] or lost_from(found) <= 1 / 3  # type: ignore[operator]
    assert lost_from(shares(grey(0.5 + slow + fast), grey(0.5 + slow + fast))) is None


def test_the_mean_and_the_sides_of_a_picture_are_no_frequencies() -> None:
    ramp = np.linspace(0, 1, 64)[None] * np.ones((64, 1))
    energies = band_energies(grey(ramp + 0.3), grey(ramp))
    assert energies[:, 1].max() < 1e-20
    assert energies[-2:, 0].sum() < 1e-4 * energies[:, 0].sum()


def test_boundaries_of_labels_against_skimage() -> None:
    labels = np.random.default_rng(1).integers(0, 3, (6, 5)).repeat(4, axis=0).repeat(4, axis=1)
    own = label_changes(labels)
    thick = find_boundaries(labels, connectivity=1, mode="thick")  # type: ignore[no-untyped-call]
    assert not (own & ~thick).any()
    shifted = own.copy()
    shifted[1:] |= own[:-1] & (labels[:-1] != labels[1:])
    shifted[:, 1:] |= own[:, :-1] & (labels[:, :-1] != labels[:, 1:])
    assert np.array_equal(shifted, thick)


class Stub:
    """A cache of one picture of 200×100 pixels with a border, with or without dense labels."""

    def __init__(self, *boxes: list[float], labels: np.ndarray | None = None) -> None:
        objects = [{"box": box} for box in boxes]
        row = {"height": 100, "width": 200, "grid_pixel": Grid(1, 16, 16), "fit": "letterbox"}
        self.labels = labels
        self.rows = [{**row, "annotations": {"objects": objects, **({} if labels is None else {"labels": {}})}}]

    def __contains__(self, name: str) -> bool:
        return name == "labels" and self.labels is not None

    def __getitem__(self, name: str) -> Any:
        assert self.labels is not None
        flat, grid = self.labels.reshape(-1, 1), Grid(*self.labels.shape)
        return SimpleNamespace(grid_of=lambda _: grid, stored=lambda _: flat)


def test_boundaries_of_boxes_lie_inside_the_border_of_a_letterbox() -> None:
    """The original fills rows 4 to 12 of 16, so that one of its pixels is 0.08 of the input's."""
    cache: Any = Stub([50, 25, 150, 75])
    found = boundaries(cache, 0, np.zeros((8, 16, 3)))
    expected = np.zeros((8, 16), bool)
    expected[2:7, 4:13] = True
    assert np.array_equal(found.objects, expected)
    expected[3:6, 5:12] = False
    assert found.kind == "boxes"
    assert np.array_equal(found.lines, expected)


def test_boundaries_of_dense_labels_go_before_those_of_boxes() -> None:
    """Of a clip they are those of the frame in the middle, below the border."""
    labels = np.zeros((3, 16, 16), np.uint8)
    labels[1, :, 8:] = 3
    cache: Any = Stub([50, 25, 150, 75], labels=labels)
    found = boundaries(cache, 0, np.zeros((8, 16, 3)))
    assert found.kind == "dense labels"
    assert found.lines.shape == (8, 16)
    assert found.objects.all()
    assert np.argwhere(found.lines)[:, 1].tolist() == [7] * 8


def test_what_has_no_pixels_cannot_be_shown() -> None:
    cache: Any = Stub()
    cache.path = "caches/mine"
    with pytest.raises(ProbeError, match="caches/mine has no pixels, so that nothing can be shown; extract them too"):
        input_frame(cache, 0)


def test_without_annotations_edges_are_the_boundaries() -> None:
    cache: Any = Stub()
    picture = np.zeros((32, 32, 3))
    picture[8:24, 8:24] = 1
    found = boundaries(cache, 0, picture)
    assert found.kind == "Canny's edges"
    assert np.array_equal(found.lines, canny(rgb2gray(picture), sigma=1))  # type: ignore[no-untyped-call]


def test_errors_at_boundaries_and_inside_of_objects() -> None:
    """Of 448 pixels a side 4 to each side of a line are at the boundary; what is no object does not count."""
    truth = np.zeros((448, 448, 3))
    lines, objects = np.zeros((448, 448), bool), np.zeros((448, 448), bool)
    lines[:, 20] = True
    objects[:, 20:] = True
    found = truth.copy()
    found[:, 16:25] = 0.5
    found[:, :16] = 0.25  # no object
    known = Boundaries(lines=lines, objects=objects, kind="")
    assert region_errors(found, truth, known).tolist() == [0.5, 0.0]
    nothing = Boundaries(lines=np.zeros_like(lines), objects=objects, kind="")
    assert np.isnan(region_errors(found, truth, nothing)[0])
