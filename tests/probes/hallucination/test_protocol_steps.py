"""The table of what each difference is worth, against the protocols carried out one by one."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from foresight_probes.hallucination.divisions import divide_groups
from foresight_probes.hallucination.halp_protocol import Recipe, halp_protocol
from foresight_probes.hallucination.logistic_detector import fit_logistic
from foresight_probes.hallucination.protocol_steps import CHANGES, Step, StepSettings, protocol_steps
from foresight_probes.hallucination.within_groups import within_groups
from tests.support.planted_questions import Planted, planted

SETTINGS = StepSettings(recipe=Recipe(epochs=6), penalties=(10.0, 1000.0), resamples=100, seeds=(42, 43))


@pytest.fixture(scope="module")
def world() -> Planted:
    """Labels of questions about one image are alike, and vectors know the image: a division by question leaks."""
    vectors_ND, questions = planted(0, images=150, of_image=3.0)
    odd_N = np.array([int(image[-5:]) % 2 for image in questions.images])
    return Planted(vectors_ND, replace(questions, labels_N=np.where(odd_N, questions.labels_N, 1 - odd_N)))


@pytest.fixture(scope="module")
def steps(world: Planted) -> list[Step]:
    return protocol_steps(*world, settings=SETTINGS)


def test_rows_are_the_paper_each_change_alone_and_all_together(steps: list[Step]) -> None:
    assert [step.name for step in steps] == ["the paper's protocol", *CHANGES, *CHANGES]
    assert [step.cumulative for step in steps] == [False] * 7 + [True] * 6
    alone, together = steps[1:7], steps[7:]
    assert {step.before for step in alone} == {"the paper's protocol"}
    assert [step.before for step in together] == ["the paper's protocol", *list(CHANGES)[:-1]]
    honest = together[-1].protocol
    assert (honest.unit, honest.epoch, honest.standardised, honest.detector, honest.averaged, honest.seeds) == (
        "image",
        "validation",
        True,
        "logistic",
        "within",
        (42, 43),
    )
    for step, change in zip(alone, CHANGES.values(), strict=True):
        changed = change(steps[0].protocol)
        assert replace(step.protocol, seeds=()) == replace(changed, seeds=())


def test_the_first_row_is_the_protocol_of_the_paper(world: Planted, steps: list[Step]) -> None:
    vectors_ND, questions = world
    found = halp_protocol(vectors_ND, questions.labels_N, recipe=SETTINGS.recipe)
    division = found.division
    assert steps[0].auroc is not None
    assert steps[0].auroc.value == pytest.approx(roc_auc_score(questions.labels_N[division.test], found.probabilities))
    assert steps[0].training_auroc == pytest.approx(
        roc_auc_score(questions.labels_N[division.train], found.training_probabilities)
    )
    assert (steps[0].difference, steps[0].difference_interval, steps[0].spread) == (None, None, None)


def test_the_last_rows_are_the_honest_protocol(world: Planted, steps: list[Step]) -> None:
    vectors_ND, questions = world
    pooled, within = [], []
    for seed in (42, 43):
        division = divide_groups(questions.labels_N, questions.images, seed=seed)
        train, test = questions.take(division.train), questions.take(division.test)
        inputs_ND = vectors_ND.astype(np.float64)
        inputs_ND = (inputs_ND - inputs_ND[division.train].mean(0)) / inputs_ND[division.train].std(0)
        detector = fit_logistic(
            inputs_ND[division.train],
            train.labels_N,
            train.images,
            penalties=SETTINGS.penalties,
            standardised=False,
            seed=seed,
        )
        scores_S = detector.probabilities(inputs_ND[division.test])
        pooled.append(roc_auc_score(test.labels_N, scores_S))
        own = within_groups(test.labels_N, scores_S, test.categories, test.images, resamples=10).macro
        assert own is not None
        within.append(own.value)
    logistic, macro, several = steps[-3:]
    assert logistic.auroc is not None
    assert macro.auroc is not None
    assert several.auroc is not None
    assert logistic.auroc.value == pytest.approx(pooled[0], abs=1e-6)
    assert macro.auroc.value == pytest.approx(within[0], abs=1e-6)
    assert several.by_seed == pytest.approx(within, abs=1e-6)
    assert several.auroc.value == pytest.approx(np.mean(within), abs=1e-6)
    assert several.spread == pytest.approx(np.std(within, ddof=1), abs=1e-6)
    assert several.auroc.low < min(within) < max(within) < several.auroc.high


def test_differences_are_from_the_row_before_and_paired_where_the_questions_are_the_same(steps: list[Step]) -> None:
    before = {False: steps[0], True: steps[0]}
    for step in steps[1:]:
        other = before[step.cumulative]
        assert step.auroc is not None
        assert other.auroc is not None
        assert step.difference == pytest.approx(step.auroc.value - other.auroc.value)
        is_same = step.protocol.unit == other.protocol.unit and len(step.protocol.seeds) == 1
        assert (step.difference_interval is not None) == is_same, step.name
        if step.difference_interval is not None:
            interval = step.difference_interval
            assert interval.value == pytest.approx(step.difference)
            assert interval.low <= interval.value <= interval.high
            if step.difference:
                assert interval.high - interval.low < 1.5 * (step.auroc.high - step.auroc.low)
        if step.cumulative:
            before[True] = step


def test_a_division_by_question_is_worth_what_leaks(steps: list[Step]) -> None:
    """What images have in common is known from training questions by question, and not by image."""
    by_image = steps[1]
    assert by_image.name == "split by image"
    assert by_image.difference is not None
    assert by_image.difference < -0.05
