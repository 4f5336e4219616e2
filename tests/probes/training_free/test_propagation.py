"""Masks that are passed on, and their scores, against plain loops and scikit-image."""

import math

import numpy as np
import pytest
from skimage.morphology import dilation

from foresight_probes.training_free import propagation
from foresight_probes.training_free.mask_scores import contour_accuracy, object_scores, region_similarity
from foresight_probes.training_free.propagation import PropagationOptions, labels_at_centres, masks_of, propagate


def straightforward(tokens: np.ndarray, first: np.ndarray, options: PropagationOptions) -> np.ndarray:
    """The same token by token, as it would be written down."""
    steps, height, width, _ = tokens.shape
    shares = [first.astype(float)]
    for step in range(1, steps):
        frames = sorted({0, *range(max(0, step - options.steps), step)})
        passed = np.zeros_like(shares[0])
        for y in range(height):
            for x in range(width):
                own, candidates = tokens[step, y, x].astype(float), []
                for frame in frames:
                    for v in range(max(0, y - options.radius), min(height, y + options.radius + 1)):
                        for u in range(max(0, x - options.radius), min(width, x + options.radius + 1)):
                            other = tokens[frame, v, u].astype(float)
                            cosine = own @ other / math.sqrt((own @ own) * (other @ other))
                            candidates.append((cosine, frame, v, u))
                candidates.sort(key=lambda each: -each[0])
                nearest = candidates[: options.neighbours]
                weights = [math.exp(cosine / options.temperature) for cosine, *_ in nearest]
                for weight, (_, frame, v, u) in zip(weights, nearest, strict=True):
                    passed[y, x] += weight / sum(weights) * shares[frame][v, u]
        shares.append(passed)
    return np.stack(shares)


@pytest.mark.parametrize(
    "options",
    [
        PropagationOptions(),
        PropagationOptions(neighbours=3, temperature=0.4, radius=1, steps=2),
        PropagationOptions(neighbours=200, radius=50, steps=1),
    ],
)
def test_token_by_token(options: PropagationOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "_PIECE", 7)
    generator = np.random.default_rng(0)
    tokens = generator.normal(size=(5, 4, 6, 3)).astype(np.float32) + 0.5
    first = (generator.integers(0, 3, (4, 6))[..., None] == np.arange(3)).astype(float)
    found = propagate(tokens, first, options)
    assert found == pytest.approx(straightforward(tokens, first, options), abs=1e-9)
    assert found.sum(-1) == pytest.approx(np.ones((5, 4, 6)))


def test_an_object_is_followed() -> None:
    """A square of tokens of its own moves by one column in each step."""
    generator = np.random.default_rng(0)
    ground, thing = generator.normal(size=(2, 16))
    labels = np.zeros((6, 8, 12), int)
    for step in range(6):
        labels[step, 2:5, 1 + step : 4 + step] = 1
    tokens = np.where(labels[..., None] == 1, thing, ground) + 0.1 * generator.normal(size=(6, 8, 12, 16))
    found = propagate(tokens, (labels[0][..., None] == [0, 1]).astype(float)).argmax(-1)
    assert np.array_equal(found, labels)
    nothing = propagate(generator.normal(size=tokens.shape), (labels[0][..., None] == [0, 1]).astype(float))
    assert not np.array_equal(nothing.argmax(-1), labels)


def test_labels_of_the_middles_of_cells() -> None:
    labels = np.arange(28 * 42).reshape(28, 42)
    found = labels_at_centres(labels, 2, 3)
    assert found.tolist() == [[labels[7 + 14 * y, 7 + 14 * x] for x in range(3)] for y in range(2)]


def test_masks_are_interpolated_and_spread() -> None:
    """A weak object wins where its share is the highest of its own range, as in the evaluation of DINO."""
    shares = np.zeros((4, 4, 2))
    shares[..., 0] = 0.9
    shares[1:3, 1:3] = [0.7, 0.3]
    mask = masks_of(shares, (16, 16))
    assert mask[8, 8] == 1
    assert mask[0, 0] == 0
    assert masks_of(shares, (4, 4)).tolist() == [[0] * 4, [0, 1, 1, 0], [0, 1, 1, 0], [0] * 4]
    assert masks_of(np.zeros((2, 2, 3)), (4, 4)).tolist() == [[0] * 4] * 4, "of equals the first"


def davis_contour(mask: np.ndarray) -> np.ndarray:
    """Another pixel on the right, below or diagonally below; outside of the frame it goes on as at its edge."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return np.asarray((padded[:-1, 1:] != mask) | (padded[1:, :-1] != mask) | (padded[1:, 1:] != mask))


def davis_accuracy(mask: np.ndarray, truth: np.ndarray) -> float:
    own, true = davis_contour(mask), davis_contour(truth)
    if own.any() != true.any():
        return 0.0
    if not own.any():
        return 1.0
    reach = math.ceil(0.008 * math.hypot(*mask.shape))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    footprint = y**2 + x**2 <= reach**2
    near_own, near_true = (dilation(each.astype(np.uint8), footprint) > 0 for each in (own, true))
    precision = (own & near_true).sum() / own.sum()
    recall = (true & near_own).sum() / true.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


@pytest.mark.parametrize(("size", "moved"), [((60, 80), 1), ((60, 80), 3), ((200, 160), 2), ((200, 160), 4)])
def test_contours_against_dilation(size: tuple[int, int], moved: int) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    truth = (y - 30) ** 2 / 2 + (x - 40) ** 2 < 500
    mask = np.roll(truth, moved, axis=1)
    mask[50:58, 10:20] = True
    found = contour_accuracy(mask, truth)
    assert found == pytest.approx(davis_accuracy(mask, truth))
    assert 0.02 < found < 1


def test_scores_of_empty_masks() -> None:
    empty, some = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    some[2:5, 2:5] = True
    assert (region_similarity(empty, empty), contour_accuracy(empty, empty)) == (1, 1)
    assert (region_similarity(empty, some), contour_accuracy(empty, some), contour_accuracy(some, empty)) == (0, 0, 0)


def test_scores_are_means_over_frames() -> None:
    truth = np.zeros((2, 4, 4), int)
    truth[:, :2] = 1
    truth[:, 3] = 2
    masks = truth.copy()
    masks[1, 1] = 0
    found = object_scores(masks, truth, np.array([1, 2, 3]))
    assert found[:, 0].tolist() == [0.75, 1, 1], "an object that is nowhere is found nowhere"
    assert found[1:, 1].tolist() == [1, 1]
