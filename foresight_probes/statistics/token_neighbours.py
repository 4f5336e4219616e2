"""Cosine similarity of the tokens of one picture: of neighbours, of distant ones, and of those of another picture."""

from collections.abc import Iterable

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]
"""Two arrays of unit vectors of equal shape, [..., D]."""


def unit(tokens_THWD: np.ndarray) -> np.ndarray:
    """Returns vectors of length 1, float64; those of length 0 stay.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    vectors = tokens_THWD.astype(np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def shifted(values: np.ndarray, axis: int, step: int) -> Pairs:
    """Returns what lies `step` cells apart along an axis of [T, H, W, …]: the first and the second of each pair."""
    first, second = [slice(None)] * values.ndim, [slice(None)] * values.ndim
    first[axis], second[axis] = slice(None, -step), slice(step, None)
    return values[tuple(first)], values[tuple(second)]


def neighbour_similarity(units_THWD: np.ndarray) -> float:
    """Returns the mean cosine similarity of tokens side by side or one above the other; NaN where there are none.

    >>> neighbour_similarity(np.array([[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]]))
    0.5
    """
    return _mean(_cosines(shifted(units_THWD, axis, 1)) for axis in (1, 2))


def distant_similarity(units_THWD: np.ndarray) -> float:
    """Returns the mean cosine similarity of tokens of a frame that lie half its height or half its width apart."""
    sides = [(axis, units_THWD.shape[axis] // 2) for axis in (1, 2)]
    return _mean(_cosines(shifted(units_THWD, axis, side)) for axis, side in sides if side > 1)


def any_similarity(units_THWD: np.ndarray) -> float:
    """Returns the mean cosine similarity of all pairs of different tokens of a frame: (|Σu|² - Σ|u|²) / N(N - 1).

    >>> any_similarity(np.array([[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]]))
    0.3333333333333333
    """
    frames, height, width, channels = units_THWD.shape
    tokens = height * width
    if tokens < 2:
        return float("nan")
    own_TND = units_THWD.reshape(frames, tokens, channels)
    squares_T = (own_TND.sum(1) ** 2).sum(-1) - (own_TND**2).sum((1, 2))
    return float(squares_T.mean() / (tokens * (tokens - 1)))


def same_place_similarity(units_THWD: np.ndarray, others_THWD: np.ndarray) -> float:
    """Returns the mean cosine similarity of a picture's tokens with those of another one at the same places."""
    steps, rows, columns = (
        np.arange(own) * other // own for own, other in zip(units_THWD.shape[:3], others_THWD.shape[:3], strict=True)
    )
    return float(_cosines((units_THWD, others_THWD[np.ix_(steps, rows, columns)])).mean())


def next_frame_similarity(units_THWD: np.ndarray) -> float:
    """Returns the mean cosine similarity of tokens at one place in frames that follow each other; NaN for one frame."""
    return _mean([_cosines(shifted(units_THWD, 0, 1))])


def boundary_similarities(units_THWD: np.ndarray, classes_THW: np.ndarray) -> tuple[float, float]:
    """Returns the mean cosine similarity of neighbours of one class, and of those of two; NaN where there are none.

    Tokens of which nobody knows the class (-1) do not count.

    >>> boundary_similarities(np.array([[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]]), np.array([[[0, 0, 1]]]))
    (1.0, 0.0)
    """
    within, across = [], []
    for axis in (1, 2):
        cosines = _cosines(shifted(units_THWD, axis, 1))
        first, second = shifted(classes_THW, axis, 1)
        is_known = (first >= 0) & (second >= 0)
        within.append(cosines[is_known & (first == second)])
        across.append(cosines[is_known & (first != second)])
    return _mean(within), _mean(across)


def _cosines(pairs: Pairs) -> np.ndarray:
    found: np.ndarray = np.einsum("...d,...d->...", *pairs)
    return found


def _mean(parts: Iterable[np.ndarray]) -> float:
    values = np.concatenate([np.zeros(0), *(part.ravel() for part in parts)])
    return float(values.mean()) if len(values) else float("nan")
