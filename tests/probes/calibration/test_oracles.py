"""The best under noise, against formulas, and against regressions that know nothing of how the facts were drawn."""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, jaccard_score, r2_score, roc_auc_score

from foresight_probes.calibration.facts import CLASS_GAIN, NOISE
from foresight_probes.calibration.oracles import ORACLES, best
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.questions import QUESTIONS, ROWS
from foresight_probes.calibration.told import Told, told


def planted(task: str, subject: str, **sizes: int) -> tuple[PlantedCache, PlantedPoint]:
    sizes = {"train": 600, "validation": 10, "test": 400, **sizes}
    return PlantedCache(world=QUESTIONS[task].world, rows=ROWS[subject], **sizes), PlantedPoint(subject, "snr")  # type: ignore[index, arg-type]


def sides(task: str, subject: str) -> tuple[Told, Told]:
    cache, point = planted(task, subject)
    return told(cache, point, "train"), told(cache, point, "test")


def flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])


def likeliest(classes: int, deviation: float) -> float:
    """How often the one of K equally likely classes whose fact is raised has the largest, under normal noise."""
    gain = CLASS_GAIN / deviation
    return float(quad(lambda x: norm.pdf(x) * norm.cdf(x + gain) ** (classes - 1), -8, 8)[0])


@pytest.mark.parametrize(
    ("task", "subject", "formula"),
    [
        ("counting", "answers", 1 / (1 + NOISE["count"] ** 2)),
        ("speed", "motion", 1 / (1 + NOISE["speed"] ** 2)),
        ("hallucination", "answers", norm.cdf(2**0.5 / NOISE["answer"])),
        ("classification", "answers", likeliest(4, NOISE["kind"])),
        ("relation", "relation", likeliest(4, NOISE["relation"])),
        ("direction", "motion", likeliest(4, NOISE["direction"])),
        ("action", "motion", likeliest(4, NOISE["action"])),
        ("order", "motion", norm.cdf((20 / 9) ** 0.5 / NOISE["time"])),
        ("next-frame", "states", 1 - (0.25 + 0.25 / 3.25) / 1.25),
    ],
)
def test_the_best_is_that_of_the_formula(task: str, subject: str, formula: float) -> None:
    """On 2,000 samples, whose own noise is the only difference."""
    found = best(task, *planted(task, subject, test=2000))
    assert found.linear == pytest.approx(formula, abs=0.025)
    assert found.linear - 0.005 <= found.any <= found.linear + 0.02


@pytest.mark.parametrize(("task", "subject", "group"), [("counting", "answers", "count"), ("speed", "motion", "speed")])
def test_no_linear_regression_is_better_than_the_best(task: str, subject: str, group: str) -> None:
    train, test = sides(task, subject)
    model = LinearRegression().fit(train.noisy_BNF[:, 0], train.true(group)[:, 0, 0])
    reached = r2_score(test.true(group)[:, 0, 0], model.predict(test.noisy_BNF[:, 0]))
    assert best(task, *planted(task, subject)).linear == pytest.approx(reached, abs=0.01)


@pytest.mark.parametrize(
    ("task", "subject", "group"),
    [("classification", "answers", "kind"), ("direction", "motion", "direction"), ("action", "motion", "action")],
)
def test_no_logistic_regression_is_better_than_the_best_class(task: str, subject: str, group: str) -> None:
    train, test = sides(task, subject)
    model = LogisticRegression(C=0.1, max_iter=2000).fit(train.noisy_BNF[:, 0], train.true(group)[:, 0].argmax(1))
    reached = model.score(test.noisy_BNF[:, 0], test.true(group)[:, 0].argmax(1))
    assert reached - 0.01 <= best(task, *planted(task, subject)).linear <= reached + 0.03


def test_no_logistic_regression_is_better_than_the_best_answer() -> None:
    train, test = sides("hallucination", "answers")
    truth = train.true("answer")[:, 0, 0] > 0
    model: Any = LogisticRegression(C=0.1).fit(train.noisy_BNF[:, 0], truth)
    reached = roc_auc_score(test.true("answer")[:, 0, 0] > 0, model.decision_function(test.noisy_BNF[:, 0]))
    assert best("hallucination", *planted("hallucination", "answers")).linear == pytest.approx(reached, abs=0.01)


def test_no_logistic_regression_is_better_than_the_best_class_of_a_token() -> None:
    train, test = sides("patch-class", "objects")
    model = LogisticRegression(max_iter=3000).fit(
        flat(train.noisy_BNF)[::7], train.true("class").argmax(-1).reshape(-1)[::7]
    )
    reached = jaccard_score(
        test.true("class").argmax(-1).reshape(-1), model.predict(flat(test.noisy_BNF)), average="macro"
    )
    value = best("patch-class", *planted("patch-class", "objects")).linear
    assert reached - 0.01 <= value <= reached + 0.03


def test_the_best_boxes_are_as_far_off_as_their_noise() -> None:
    """Boxes drawn anew overlap as much whose centre and size are as far off as facts weighed by their noise."""
    value = best("position", *planted("position", "objects", test=1000)).linear
    generator = np.random.default_rng(0)
    sizes = generator.uniform(0.2, 0.42, (20_000, 2))
    side = NOISE["box"] / 8  # of each of the four sides
    log_odds = NOISE["box"] / 2 * sizes * (1 - sizes)  # of the size's own fact, as a fraction of the image
    likely = 0.22 / 12**0.5
    off = generator.normal(size=(20_000, 2)) / np.sqrt(1 / (2 * side**2) + 1 / log_odds**2 + 1 / likely**2)
    centre = side / 2**0.5 * generator.normal(size=(20_000, 2))
    low, high = (centre - (sizes + off) / 2, -sizes / 2), (centre + (sizes + off) / 2, sizes / 2)
    inner = (np.minimum(*high) - np.maximum(*low)).clip(0).prod(1)
    assert value == pytest.approx((inner / (sizes.prod(1) + (sizes + off).prod(1) - inner)).mean(), abs=0.01)


def test_the_best_of_a_list_and_of_tokens_fall_with_the_noise() -> None:
    for subject in ("lists", "objects"):
        assert 0.6 < best("boxes", *planted("boxes", subject)).linear < 0.9
    assert 0.7 < best("detection", *planted("detection", "objects")).linear < 0.9


def test_the_best_edges_are_those_of_a_weighted_regression() -> None:
    train, test = sides("edges", "picture")
    truth = (train.true("edges") > 0).reshape(-1)
    model: Any = LogisticRegression(class_weight={False: 1, True: 3}).fit(train.noisy("edges").reshape(-1, 1), truth)
    drawn = model.predict(test.noisy("edges").reshape(-1, 1))
    exact = f1_score((test.true("edges") > 0).reshape(-1), drawn)
    value = best("edges", *planted("edges", "picture")).linear
    assert exact < value < exact + 0.15  # a pixel beside an edge counts as well


def test_the_best_pictures_are_those_of_a_regression() -> None:
    train, test = sides("reconstruction", "picture")
    model = LinearRegression().fit(flat(train.noisy_BNF), flat(train.true("pixels")) / 4)
    wrong = np.square(model.predict(flat(test.noisy_BNF)) - flat(test.true("pixels")) / 4).reshape(400, -1).mean(1)
    value = best("reconstruction", *planted("reconstruction", "picture")).linear
    assert value == pytest.approx(float((-10 * np.log10(wrong)).mean()), abs=0.3)  # what is outside of 0 to 1 is cut


def test_every_question_with_a_known_best_has_an_oracle() -> None:
    asked = {
        (task, subject)
        for task, question in QUESTIONS.items()
        if question.has_known_best
        for subject in question.subjects.values()
    }
    assert asked == set(ORACLES)
