"""Leaving a source out against a division made by hand and scikit-learn's logistic regression."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.divisions import divide_groups
from foresight_probes.hallucination.leave_one_out import leave_one_source_out
from foresight_probes.hallucination.logistic_detector import fit_logistic
from tests.support.planted_questions import planted


def test_a_source_is_tested_by_what_others_taught() -> None:
    vectors_ND, questions = planted(3, images=200, beyond=1.0)
    found = leave_one_source_out(vectors_ND, questions, penalties=[30.0], resamples=50)
    assert [own.source for own in found] == ["source-0", "source-1", "source-2"]
    for own in found:
        is_own = np.array([source == own.source for source in questions.sources])
        assert own.rows.tolist() == np.flatnonzero(is_own).tolist()
        assert (own.samples, own.trained_on) == (is_own.sum(), (~is_own).sum())
        scaler = StandardScaler().fit(vectors_ND[~is_own].astype(np.float64))
        model = LogisticRegression(C=2 / 30.0, tol=1e-9, max_iter=1000)
        model.fit(scaler.transform(vectors_ND[~is_own].astype(np.float64)), questions.labels_N[~is_own])
        expected_S = model.predict_proba(scaler.transform(vectors_ND[is_own].astype(np.float64)))[:, 1]
        assert own.probabilities is not None
        assert own.metrics is not None
        assert own.metrics.auroc is not None
        np.testing.assert_allclose(own.probabilities, expected_S, atol=1e-5)
        assert own.metrics.auroc.value == pytest.approx(roc_auc_score(questions.labels_N[is_own], expected_S), abs=1e-4)


def test_the_penalty_is_chosen_on_groups_that_are_held_out() -> None:
    """Few samples of many channels: the best of three penalties by the loss on a fifth of the images, made by hand."""
    generator = np.random.default_rng(0)
    vectors_ND = generator.normal(size=(200, 40))
    labels_N = (vectors_ND[:, 0] + generator.normal(size=200) > 0).astype(np.int64)
    groups = [str(number // 2) for number in range(200)]
    penalties = (0.01, 30.0, 1e5)
    division = divide_groups(labels_N, groups, share=0.2, seed=0)
    losses = []
    for penalty in penalties:
        model = LogisticRegression(C=2 / penalty, tol=1e-8, max_iter=5000)
        scaler = StandardScaler().fit(vectors_ND[division.train])
        model.fit(scaler.transform(vectors_ND[division.train]), labels_N[division.train])
        losses.append(
            log_loss(labels_N[division.test], model.predict_proba(scaler.transform(vectors_ND[division.test])))
        )
    assert int(np.argmin(losses)) == 1
    assert fit_logistic(vectors_ND, labels_N, groups, penalties=penalties).penalty == 30.0


def test_images_of_the_tested_source_do_not_teach() -> None:
    """Ten images are in two sources; where one of these is tested the other's samples about them are left out."""
    vectors_ND, questions = planted(3, images=200)
    sources = list(questions.sources)
    shared = sorted(set(questions.images))[:10]
    for image in shared:
        rows = [row for row, own in enumerate(questions.images) if own == image]
        for row in rows:
            sources[row] = f"source-{row % 2}"
    mixed = replace(questions, sources=sources)
    found = leave_one_source_out(vectors_ND, mixed, penalties=[30.0], resamples=10)
    assert [own.samples + own.trained_on for own in found] == [1200 - 30, 1200 - 30, 1200]


def test_what_is_not_measured_and_why() -> None:
    vectors_ND, questions = planted(3, images=30)
    labels_N = questions.labels_N.copy()
    labels_N[[source == "source-1" for source in questions.sources]] = 0
    found = leave_one_source_out(vectors_ND, replace(questions, labels_N=labels_N), penalties=[30.0], resamples=10)
    assert [own.metrics is None for own in found] == [False, True, False]
    assert found[1].reason == f"not measured: none of {found[1].samples} answers are hallucinated"
    labels_N[[source == "source-2" for source in questions.sources]] = 0
    found = leave_one_source_out(vectors_ND, replace(questions, labels_N=labels_N), resamples=10)
    assert found[0].metrics is None
    assert found[0].reason.startswith("not measured: what is fitted has 0 hallucinated answers")
    with pytest.raises(ProbeError, match="all 180 questions are from one source, expected at least 2"):
        leave_one_source_out(vectors_ND, replace(questions, sources=["one"] * 180))
