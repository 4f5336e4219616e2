"""Controls: the category's rate, the answer's own numbers, and labels in another order."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler, TargetEncoder

from foresight_probes.hallucination.category_rate import category_rate
from foresight_probes.hallucination.first_token import ANSWER_NUMBERS, DIRECTIONS, first_token_baselines
from foresight_probes.hallucination.shuffled_labels import shuffled_labels
from tests.support.planted_questions import RATES, planted


def test_category_rate_is_the_target_encoding_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    categories = generator.choice(list("abcd"), 300)
    labels_N = (generator.random(300) < 0.3).astype(np.int64)
    asked = np.array([*"abcd", "new"])
    encoder = TargetEncoder(target_type="binary", smooth=7.0).fit(categories[:, None], labels_N)
    expected_S = encoder.transform(asked[:, None])[:, 0]
    found_S = category_rate(labels_N, categories.tolist(), asked.tolist(), smoothing=7.0)
    np.testing.assert_allclose(found_S, expected_S, atol=1e-12)
    assert found_S[-1] == labels_N.mean()


def test_category_rate_without_smoothing_is_the_rate() -> None:
    assert category_rate(np.array([1, 0, 0]), ["a", "a", "b"], ["b", "a"], smoothing=0.0).tolist() == [0.0, 0.5]


def test_the_test_side_has_no_part_in_the_rate() -> None:
    """The rates of the planted categories come back from training samples alone."""
    _, questions = planted(0, images=1000)
    train = questions.take(range(3000))
    found = dict(zip(RATES, category_rate(train.labels_N, train.categories, list(RATES)), strict=True))
    assert found == pytest.approx(RATES, abs=0.03)


def answers(count: int = 400) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Numbers of answers, of which the surer are right more often."""
    generator = np.random.default_rng(4)
    labels_N = generator.integers(2, size=count)
    unsure_N = labels_N + generator.normal(size=count)
    numbers = {name: sign * unsure_N + 0.5 * generator.normal(size=count) for name, sign in DIRECTIONS.items()}
    yes_N = 0.5 + 0.4 * np.tanh(generator.normal(size=count))
    return {**numbers, "p_yes": yes_N, "p_no": 1 - yes_N - 0.01 * generator.random(count)}, labels_N


def test_baselines_of_an_unsure_model_point_to_hallucinations() -> None:
    numbers, labels_N = answers()
    train, test = np.arange(300), np.arange(300, 400)
    found = first_token_baselines(numbers, labels_N, list(map(str, range(400))), train=train, test=test)
    assert [own.name for own in found] == [*DIRECTIONS, "yes_no_uncertainty", "first_token_regression"]
    for own in found:
        assert own.scores is not None
        assert own.reason == ""
        expected = 0.5 if own.name == "yes_no_uncertainty" else 0.76
        assert roc_auc_score(labels_N[test], own.scores) == pytest.approx(expected, abs=0.13)
    by_name = {own.name: own.scores for own in found}
    np.testing.assert_array_equal(by_name["first_token_log_probability"], -numbers["first_token_log_probability"][test])
    np.testing.assert_array_equal(by_name["mean_entropy"], numbers["mean_entropy"][test])
    np.testing.assert_array_equal(
        by_name["yes_no_uncertainty"], 1 - abs(numbers["p_yes"][test] - numbers["p_no"][test])
    )


def test_the_regression_is_that_of_scikit_learn() -> None:
    numbers, labels_N = answers()
    train, test = np.arange(300), np.arange(300, 400)
    groups = list(map(str, range(400)))
    found = first_token_baselines(numbers, labels_N, groups, train=train, test=test, penalties=[20.0])[-1]
    inputs_ND = np.stack([numbers[name] for name in ANSWER_NUMBERS], axis=1)
    scaler = StandardScaler().fit(inputs_ND[train])
    expected = LogisticRegression(C=2 / 20.0, tol=1e-8, max_iter=1000).fit(
        scaler.transform(inputs_ND[train]), labels_N[train]
    )
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, expected.predict_proba(scaler.transform(inputs_ND[test]))[:, 1], atol=1e-5)


def test_a_number_that_answers_lack_is_not_measured() -> None:
    numbers, labels_N = answers()
    del numbers["p_no"]
    numbers["mean_entropy"][350] = np.nan
    train, test = np.arange(300), np.arange(300, 400)
    found = first_token_baselines(numbers, labels_N, list(map(str, range(400))), train=train, test=test)
    reasons = {own.name: own.reason for own in found if own.scores is None}
    assert reasons == {
        "mean_entropy": "1 of 100 answers have no mean_entropy",
        "yes_no_uncertainty": "the answers have no p_no",
        "first_token_regression": "1 of 400 answers have no mean_entropy",
    }


def test_shuffled_labels_leave_nothing_or_the_category_alone() -> None:
    _, questions = planted(1, images=500)
    labels_N = questions.labels_N
    everywhere = shuffled_labels(labels_N)
    within = shuffled_labels(labels_N, within=questions.categories)
    assert everywhere.sum() == within.sum() == labels_N.sum()
    assert not np.array_equal(everywhere, labels_N)
    for name in RATES:
        own = np.array([category == name for category in questions.categories])
        assert within[own].sum() == labels_N[own].sum()
        assert everywhere[own].mean() == pytest.approx(labels_N.mean(), abs=0.05)
        assert np.corrcoef(within[own], labels_N[own])[0, 1] == pytest.approx(0, abs=0.1)
    assert np.array_equal(everywhere, shuffled_labels(labels_N, seed=0))
    assert not np.array_equal(everywhere, shuffled_labels(labels_N, seed=1))
