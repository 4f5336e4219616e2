"""Judged questions whose labels follow their category alone, or what the features know beside it."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from foresight_probes.hallucination.questions import Questions

RATES = {"yes-no": 0.6, "number": 0.05}
"""Share of hallucinated answers of each category, about as far apart as those of benchmarks."""
WIDTH = 12


class Planted(NamedTuple):
    vectors_ND: np.ndarray
    questions: Questions


def planted(
    seed: int, *, images: int = 2000, per_image: int = 6, beyond: float = 0.0, of_image: float = 0.5
) -> Planted:
    """Questions of two categories and three sources, several about each image.

    Vectors know the category, an image's own direction and a number of the question that the label's log-odds follow
    with the slope `beyond`: with 0 they know nothing of the label but its category.
    """
    generator = np.random.default_rng([7, seed])
    count = images * per_image
    image_N = np.repeat(np.arange(images), per_image)
    names = list(RATES)
    kind_N = generator.integers(len(names), size=count)
    known_N = generator.normal(size=count)
    odds_N = logit(np.array([RATES[name] for name in names]))[kind_N] + beyond * known_N
    labels_N = (generator.random(count) < expit(odds_N)).astype(np.int64)
    basis = np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))[0]
    vectors_ND = np.outer(kind_N - 0.5, 3 * basis[0]) + np.outer(known_N, basis[1])
    vectors_ND = vectors_ND + of_image * generator.normal(size=(images, WIDTH))[image_N]
    vectors_ND = vectors_ND + 0.5 * generator.normal(size=(count, WIDTH)) + 2.0
    source_I = generator.integers(3, size=images)
    questions = Questions(
        labels_N=labels_N,
        images=[f"image-{image:05d}" for image in image_N],
        categories=[names[kind] for kind in kind_N],
        sources=[f"source-{source}" for source in source_I[image_N]],
    )
    return Planted(vectors_ND.astype(np.float32), questions)
