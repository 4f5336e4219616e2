"""Planted questions are read as they were planted, from twenty seeds, and intervals by the rule."""

import numpy as np
import pytest

from foresight_probes.hallucination.category_rate import category_rate
from foresight_probes.hallucination.divisions import divide_groups
from foresight_probes.hallucination.logistic_detector import fit_logistic
from foresight_probes.hallucination.reading import Reading, read, read_detector
from foresight_probes.statistics.interval import Interval
from tests.support.planted_questions import planted

SEEDS = 20


def reading_of(seed: int, *, beyond: float) -> Reading:
    """A solved logistic regression on two thirds of the images, read on the rest."""
    vectors_ND, questions = planted(seed, beyond=beyond)
    division = divide_groups(questions.labels_N, questions.images, share=1 / 3, seed=seed)
    train, test = questions.take(division.train), questions.take(division.test)
    detector = fit_logistic(vectors_ND[division.train], train.labels_N, train.images, penalties=(10.0, 1000.0))
    return read_detector(
        test.labels_N,
        detector.probabilities(vectors_ND[division.test]),
        category_rate(train.labels_N, train.categories, test.categories),
        test.categories,
        test.images,
        resamples=300,
    )


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
def test_a_label_that_follows_the_category_alone(seed: int) -> None:
    found = reading_of(seed, beyond=0.0)
    assert found.status == "category-only", found.sentence
    assert found.category is not None
    assert found.category.value > 0.75
    assert "the category alone predicts the label (AUROC 0.8" in found.sentence
    assert "within categories the features are at chance" in found.sentence


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
def test_features_that_know_the_label_beyond_the_category(seed: int) -> None:
    found = reading_of(seed, beyond=1.0)
    assert found.status == "beyond-category", found.sentence
    assert "the features carry the label beyond the category" in found.sentence


CHANCE, ABOVE, WIDE, BELOW = (0.5, 0.45, 0.55), (0.6, 0.52, 0.7), (0.52, 0.4, 0.65), (0.3, 0.2, 0.38)
NOT_BETTER, BETTER = (-0.01, -0.03, 0.01), (0.05, 0.02, 0.08)


@pytest.mark.parametrize(
    ("within", "category", "difference", "status"),
    [
        (ABOVE, ABOVE, BETTER, "beyond-category"),
        (ABOVE, CHANCE, NOT_BETTER, "beyond-category"),
        (CHANCE, ABOVE, NOT_BETTER, "category-only"),
        ((0.45, 0.42, 0.49), ABOVE, NOT_BETTER, "category-only"),
        (CHANCE, ABOVE, BETTER, "undecided"),
        (CHANCE, CHANCE, NOT_BETTER, "neither"),
        (CHANCE, WIDE, NOT_BETTER, "undecided"),
        (WIDE, ABOVE, NOT_BETTER, "undecided"),
        (BELOW, ABOVE, NOT_BETTER, "undecided"),
        (None, ABOVE, NOT_BETTER, "undecided"),
    ],
)
def test_the_rule(
    within: tuple[float, float, float] | None,
    category: tuple[float, float, float],
    difference: tuple[float, float, float],
    status: str,
) -> None:
    found = read(within and Interval(*within), Interval(*category), Interval(*difference), confidence=0.99)
    assert found.status == status
    assert found.sentence.startswith("undecided: ") == (status == "undecided")


def test_a_detector_that_knows_more_within_categories_but_is_not_better_says_so() -> None:
    found = read(Interval(*ABOVE), Interval(*ABOVE), Interval(*NOT_BETTER), confidence=0.99)
    assert found.sentence == (
        "the features carry the label beyond the category (mean AUROC within categories 0.600 [0.520, 0.700]; the "
        "category alone has an AUROC 0.600 [0.520, 0.700]; detector less category -0.010 [-0.030, +0.010]), though "
        "over all questions it is not seen to rank better than that"
    )


def test_more_detectors_share_the_error() -> None:
    vectors_ND, questions = planted(0, images=300, beyond=1.0)
    scores_S = vectors_ND[:, 0]
    rates_S = category_rate(questions.labels_N, questions.categories, questions.categories)
    one, eleven = (
        read_detector(
            questions.labels_N,
            scores_S,
            rates_S,
            questions.categories,
            questions.images,
            detectors=count,
            resamples=100,
        )
        for count in (1, 11)
    )
    assert one.within is not None
    assert eleven.within is not None
    assert (one.confidence, eleven.confidence) == (0.99, 1 - 0.01 / 11)
    assert eleven.within.low < one.within.low < one.within.high < eleven.within.high


def test_too_few_images_for_a_verdict() -> None:
    """Questions about 49 images tell a verdict no more than those about one, however many there are."""
    for images, status in ((49, "undecided"), (60, "beyond-category")):
        vectors_ND, questions = planted(0, images=images, per_image=40, beyond=4.0, of_image=0.0)
        rates_S = category_rate(questions.labels_N, questions.categories, questions.categories)
        detector = fit_logistic(vectors_ND, questions.labels_N, questions.images, penalties=(10.0,))
        found = read_detector(
            questions.labels_N,
            detector.probabilities(vectors_ND),
            rates_S,
            questions.categories,
            questions.images,
            resamples=100,
        )
        assert found.status == status, found.sentence
    assert read(Interval(*ABOVE), Interval(*ABOVE), Interval(*BETTER), confidence=0.99, groups=49.0).sentence == (
        "undecided: 49 images, fewer than the 50 that a verdict needs"
    )


def test_what_benchmarks_explain_is_beyond_the_type_and_not_beyond_both_together() -> None:
    """Labels follow the source alone, and so does what vectors know of them; all questions are of two random types."""
    generator = np.random.default_rng(0)
    source_N = generator.integers(2, size=6000)
    labels_N = (generator.random(6000) < np.array([0.1, 0.6])[source_N]).astype(np.int64)
    scores_N = source_N + generator.normal(size=6000)
    types = generator.choice(["yes-no", "number"], 6000).tolist()
    both = [f"source-{source} {kind}" for source, kind in zip(source_N, types, strict=True)]
    images = [str(number // 2) for number in range(6000)]
    found = {
        name: read_detector(labels_N, scores_N, category_rate(labels_N, kinds, kinds), kinds, images, resamples=200)
        for name, kinds in {"types": types, "both": both}.items()
    }
    assert found["types"].status == "beyond-category"
    assert found["both"].status == "category-only", found["both"].sentence
