"""Each rule by hand: what passes it, what fails it, and what the row says."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from foresight_probes.calibration import rules
from foresight_probes.calibration.checks import Check, Instrument, Rule
from foresight_probes.calibration.facts import Subject
from foresight_probes.calibration.forms import Form
from foresight_probes.calibration.oracles import Best
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.rules import Row, judged
from foresight_probes.statistics.interval import Interval

LINEAR = Instrument(task="counting", head="pooled-linear")
NONLINEAR = Instrument(task="hallucination", head="mlp-512-256-128")
CACHE = PlantedCache(world="several", rows=4)


def check(
    rule: Rule, subject: Subject = "answers", form: Form = "linear", geometry: str = "", train: int = 700
) -> Check:
    return Check(rule=rule, cache=replace(CACHE, train=train), point=PlantedPoint(subject, form, geometry))


def result(
    value: float, low: float | None = None, high: float | None = None, chance: float = 0.0, **validation: Any
) -> Any:
    interval = Interval(value, value - 0.02 if low is None else low, value + 0.02 if high is None else high)
    return SimpleNamespace(primary="r2", value=interval, chance={"r2": chance}, validation=validation)


def judge(checked: Check, found: Any, instrument: Instrument = LINEAR, reference: Any = None) -> Row:
    (row,) = judged(instrument, {checked: found}, {checked: reference})
    return row


@pytest.mark.parametrize(("value", "verdict"), [(0.951, "fit"), (0.949, "unfit")])
def test_what_is_there_is_read_to_95_percent(value: float, verdict: str) -> None:
    row = judge(check("present"), result(value))
    assert (row.verdict, row.expected, row.obtained, row.form, row.train) == (
        verdict,
        1.0,
        value,
        "answers.linear",
        700,
    )
    assert row.reason == ("" if verdict == "fit" else "is less than is there")


def test_the_ceiling_of_pictures_is_in_decibels() -> None:
    pictures = Instrument(task="reconstruction", head="token-linear")
    assert [judge(check("present", "picture"), result(value), pictures).verdict for value in (32.4, 32.2)] == [
        "fit",
        "unfit",
    ]


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.02, -0.01, 0.05, "fit"),  # the interval reaches down to chance
        (0.02, 0.001, 0.05, "unfit"),  # above chance
        (-0.02, -0.03, -0.01, "fit"),  # below, but not by more than 0.03
        (-0.04, -0.06, -0.01, "unfit"),
        (-0.04, -0.09, 0.01, "fit"),  # as far below, on so few samples that it may be chance
    ],
)
def test_nothing_is_read_at_chance(value: float, low: float, high: float, verdict: str) -> None:
    for subject in ("nothing", "places"):
        row = judge(check("absent", subject), result(value, low, high))  # type: ignore[arg-type]
        assert (row.verdict, row.expected, row.chance) == (verdict, 0.0, 0.0)


def test_chance_is_the_mean_predictors() -> None:
    assert judge(check("absent", "nothing"), result(0.48, 0.46, 0.5, chance=0.45)).verdict == "unfit"
    assert judge(check("absent", "nothing"), result(0.48, 0.46, 0.5, chance=0.47)).verdict == "fit"


def test_chance_is_that_of_guesses_where_all_answers_are_as_likely() -> None:
    """A constant answer is right as often as its class happens to be there, which is more or less than a quarter."""
    pairs = Instrument(task="relation", head="pooled-linear")
    row = judge(check("absent", "nothing"), result(0.27, 0.24, 0.3, chance=0.21), pairs)
    assert (row.verdict, row.expected, row.chance) == ("fit", 0.25, 0.25)


def test_places_tell_the_next_frame() -> None:
    frames = Instrument(task="next-frame", head="temporal-token-linear")
    assert judge(check("absent", "places"), result(0.99), frames).verdict == "fit"
    assert judge(check("absent", "places"), result(0.0), frames).verdict == "unfit"
    assert judge(check("absent", "nothing"), result(0.99), frames).verdict == "unfit"


@pytest.mark.parametrize(("value", "verdict"), [(0.829, "unfit"), (0.831, "fit"), (0.909, "fit"), (0.911, "unfit")])
def test_under_noise_the_best_is_reached_and_not_more(
    value: float, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "best", lambda *_: Best(0.86, 0.88))
    row = judge(check("known", form="snr"), result(value))
    assert (row.verdict, row.expected) == (verdict, 0.86)


def geometries(
    values: dict[str, float], instrument: Instrument = LINEAR, train: int = 700, **kind: Any
) -> dict[str, str]:
    runs = {check("fair", form="snr", geometry=name, train=train): result(value) for name, value in values.items()}
    other = check("fair", "lists", "snr", "base", train=train)
    rows = judged(instrument, {**runs, other: result(0.99)}, {})
    return {row.geometry: row.verdict for row in rows if row.form == "answers.snr"}


def test_geometries_are_compared_with_the_best_of_the_same_facts() -> None:
    values = {"base": 0.86, "llm": 0.839, "fine": 0.841}
    assert geometries(values) == {"base": "fit", "llm": "unfit", "fine": "fit"}
    assert geometries(values, NONLINEAR) == {"base": "fit", "llm": "fit", "fine": "fit"}
    assert geometries({**values, "llm": 0.809}, NONLINEAR)["llm"] == "unfit"


def test_with_fewer_samples_a_geometry_may_cost_more() -> None:
    assert geometries({"base": 0.86, "aniso": 0.822}, train=350) == {"base": "fit", "aniso": "fit"}
    assert geometries({"base": 0.86, "aniso": 0.818}, train=350)["aniso"] == "unfit"


def test_a_product_is_read_in_hard_geometries_to_a_share() -> None:
    """Between chance and what is read in the narrow geometry: 0.5 + 0.7 · 0.4 and 0.5 + 0.6 · 0.4."""
    for values, verdicts in (((0.79, 0.75), "fit"), ((0.77, 0.73), "unfit")):
        runs = {
            check("product", form="product", geometry=name): result(value, chance=0.5)
            for name, value in zip(("base", "aniso", "llm"), (0.9, *values), strict=True)
        }
        rows = {row.geometry: row for row in judged(NONLINEAR, runs, {})}
        assert rows["base"].verdict == "fit"
        assert {rows[name].verdict for name in ("aniso", "llm")} == {verdicts}
        assert rows["llm"].expected == 0.9


def test_few_samples_cost_no_more_than_they_cost_a_closed_form() -> None:
    few = check("few", form="snr", geometry="w3584", train=137)
    for value, verdict in ((0.671, "fit"), (0.669, "unfit")):
        row = judge(few, result(value), NONLINEAR, reference=result(0.7))
        assert (row.verdict, row.expected, row.train) == (verdict, 0.7, 137)


def test_what_has_not_converged_says_so() -> None:
    assert judge(check("present"), result(0.99, converged=False)).reason == "not converged"
    assert judge(check("present"), result(0.5, converged=False)).reason == "is less than is there, not converged"
    assert judge(check("present"), result(0.99, converged=True)).reason == ""


def test_a_value_that_is_no_number_is_unfit() -> None:
    assert judge(check("present"), result(math.nan)).verdict == "unfit"
