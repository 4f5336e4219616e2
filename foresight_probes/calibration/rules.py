"""The rules by which a check is passed, from what was obtained and what was to be expected."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from foresight_probes import heads
from foresight_probes.calibration.checks import Check, Instrument
from foresight_probes.calibration.oracles import best
from foresight_probes.calibration.questions import QUESTIONS, Question
from foresight_probes.results.result import Result

PRESENT_SHARE = 0.95
"""Share of the ceiling that is read where the answer is there."""
BELOW_CHANCE = 0.03
"""Distance below the mean predictor at which a head that knows nothing is worse, if its interval is below as well."""
NEAR_BEST = 0.03
UNFAIR, UNFAIR_NONLINEAR, USUAL = 0.02, 0.05, 700
"""Distance from the best geometry at which another is read worse, by linear heads and by others, with so many training
samples; with fewer it grows, since a direction that tells nothing costs as much as a sample tells."""
PRODUCT_SHARES: Mapping[str, float] = {"base": 0.0, "aniso": 0.7, "llm": 0.6}
"""Share of a product read in the first geometry that is to be read in others."""
FEW = 0.03
"""Distance from the closed form, on few samples and as many channels."""

Verdict = Literal["fit", "unfit"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of the calibration table: one check of one instrument."""

    task: str
    head: str
    rule: str
    form: str
    """Subject and form of the planted facts."""
    geometry: str
    """Empty for plain coordinates."""
    train: int
    """Training samples."""
    metric: str
    chance: float
    """The mean predictor's, or that of guesses where all answers are as likely."""
    expected: float
    obtained: float
    low: float
    high: float
    """Ends of the confidence interval of `obtained`."""
    verdict: Verdict
    reason: str
    """What is wrong, or worth knowing, in a few words; empty for nothing."""


class Bounds(NamedTuple):
    """What is expected of a check, and the values that pass it."""

    expected: float
    least: float
    most: float
    wrong: str
    """What is wrong with a value outside."""


def judged(instrument: Instrument, runs: Mapping[Check, Result], references: Mapping[Check, Result]) -> list[Row]:
    """Returns a row for each check of an instrument.

    Args:
        instrument: A task with a head.
        runs: Results of all of its checks; geometries are compared with each other.
        references: Results of a closed form for the checks with few samples.
    """
    return [_row(instrument, check, runs[check], _bounds(instrument, check, runs, references)) for check in runs]


def _bounds(
    instrument: Instrument, check: Check, runs: Mapping[Check, Result], references: Mapping[Check, Result]
) -> Bounds:
    question, result = QUESTIONS[instrument.task], runs[check]
    chance, unit = _chance(question, result), question.unit
    match check.rule:
        case "present":
            return _present(question)
        case "absent":
            if question.places_tell and check.point.subject == "places":
                return _present(question)
            least = chance - BELOW_CHANCE * unit if result.value.high < chance else -math.inf
            most = chance if result.value.low > chance else math.inf
            return Bounds(chance, least, most, "differs from chance")
        case "known":
            linear, any_ = best(instrument.task, check.cache, check.point)
            return Bounds(linear, linear - NEAR_BEST * unit, any_ + NEAR_BEST * unit, "is not the best that there is")
        case "fair":
            reached = max(_alike(check, runs).values())
            tolerance = UNFAIR if heads.load(instrument.head).is_linear else UNFAIR_NONLINEAR
            tolerance *= max(1, USUAL / check.cache.train)
            return Bounds(reached, reached - tolerance * unit, math.inf, "is less than from another geometry")
        case "product":
            narrow = _alike(check, runs)["base"]
            least = chance + PRODUCT_SHARES[check.point.geometry] * (narrow - chance)
            return Bounds(narrow, least, math.inf, "is too little of the product in base")
        case "few":
            solved = references[check].value.value
            return Bounds(solved, solved - FEW * unit, math.inf, "is less than a closed form reads")


def _present(question: Question) -> Bounds:
    return Bounds(question.ceiling, PRESENT_SHARE * question.ceiling, math.inf, "is less than is there")


def _alike(check: Check, runs: Mapping[Check, Result]) -> dict[str, float]:
    """Returns what is read by the same rule from the same facts, by geometry."""
    kind = (check.rule, check.point.subject)
    return {own.point.geometry: run.value.value for own, run in runs.items() if (own.rule, own.point.subject) == kind}


def _row(instrument: Instrument, check: Check, result: Result, bounds: Bounds) -> Row:
    value = result.value
    is_fit = bounds.least <= value.value <= bounds.most
    reasons = [] if is_fit else [bounds.wrong]
    if result.validation.get("converged") is False:
        reasons.append("not converged")
    return Row(
        task=instrument.task,
        head=instrument.head,
        rule=check.rule,
        form=f"{check.point.subject}.{check.point.form}",
        geometry=check.point.geometry,
        train=check.cache.train,
        metric=result.primary,
        chance=_chance(QUESTIONS[instrument.task], result),
        expected=bounds.expected,
        obtained=value.value,
        low=value.low,
        high=value.high,
        verdict="fit" if is_fit else "unfit",
        reason=", ".join(reasons),
    )


def _chance(question: Question, result: Result) -> float:
    return result.chance.get(result.primary, math.nan) if question.chance is None else question.chance
