"""Views of tokens against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from foresight_cache.errors import UsageError
from foresight_cache.looking import principal_colours, similarity_map


def tokens(*shape: int) -> np.ndarray:
    """Numbers whose channels have different spreads and are not centred."""
    generator = np.random.default_rng(len(shape))
    return generator.normal(3, 1, shape) * np.linspace(0.3, 5, shape[-1])


def test_similarity_is_scikit_learn_s() -> None:
    tokens_THWD = tokens(2, 3, 4, 7).astype(np.float32)
    found = similarity_map(tokens_THWD, t=1, y=2, x=0)
    flat = tokens_THWD.reshape(-1, 7)
    expected = cosine_similarity(flat.astype(np.float64), flat[(1 * 3 + 2) * 4 + 0][None])[:, 0]
    np.testing.assert_allclose(found.reshape(-1), expected, atol=1e-12)
    assert found[1, 2, 0] == pytest.approx(1)


def test_a_token_of_zeros_is_like_none() -> None:
    tokens_THWD = tokens(1, 2, 2, 3)
    tokens_THWD[0, 1, 1] = 0
    found = similarity_map(tokens_THWD, y=0, x=0)
    assert np.isnan(found[0, 1, 1])
    assert np.isfinite(found).sum() == 3


@pytest.mark.parametrize("shape", [(1, 9, 8, 6), (3, 1, 5, 6, 12), (5, 40)])
def test_colours_are_scikit_learn_s_components(shape: tuple[int, ...]) -> None:
    values = tokens(*shape)
    colours, shares = principal_colours(values)
    reference = PCA(3, svd_solver="full").fit(values.reshape(-1, shape[-1]))
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, rtol=1e-9)
    components = reference.transform(values.reshape(-1, shape[-1]))
    components *= np.sign(reference.components_[range(3), np.abs(reference.components_).argmax(1)])
    low, high = (np.percentile(components, end, axis=0) for end in (1, 99))
    assert colours.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(colours.reshape(-1, 3), ((components - low) / (high - low)).clip(0, 1), atol=1e-9)


def test_one_far_token_leaves_colours_to_the_others() -> None:
    values = tokens(1, 16, 16, 5)
    values[0, 3, 3] = 1e4
    colours, _ = principal_colours(values)
    assert colours[..., 0].std() > 0.15  # without clipping, one token of 256 would leave a tenth of it


def test_equal_tokens_have_one_colour() -> None:
    colours, shares = principal_colours(np.ones((2, 3, 4)))
    assert (colours == 0).all()
    assert (shares == 0).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: similarity_map(tokens(4, 4, 3), y=0, x=0), "shape \\(4, 4, 3\\), expected \\[t, h, w, channels\\]"),
        (lambda: similarity_map(tokens(1, 4, 5, 3), y=4, x=0), "y is 4, expected 0 to 3"),
        (lambda: similarity_map(tokens(1, 4, 5, 3), y=0, x=-1), "x is -1, expected 0 to 4"),
        (lambda: principal_colours(tokens(9, 2)), "shape \\(9, 2\\), expected at least 4 tokens of 3 channels"),
        (lambda: principal_colours(tokens(3, 8)), "shape \\(3, 8\\), expected at least 4 tokens of 3 channels"),
        (lambda: principal_colours(np.float32(3)), "shape \\(\\), expected at least 4 tokens"),
        (lambda: principal_colours(np.full((9, 9), np.nan)), "not finite, which have no principal components"),
    ],
)
def test_bad_arguments(call: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
