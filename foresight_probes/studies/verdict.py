"""The verdict of a study: the branch of its decision table, what decided it, and what would change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from foresight_probes.studies.costs import Cost, costs, why_no_operations
from foresight_probes.studies.criteria import Claim, Found, measured, read
from foresight_probes.studies.curves import CurveFound, curve_found
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.recommendation import Recommended, recommend
from foresight_probes.studies.study import Branch, Failure, Score, Study
from foresight_probes.studies.thresholds import about

UNDECIDED = "UNDECIDED"
"""Verdict where more than one branch is possible."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What follows from what was found."""

    name: str
    """Name of the branch, or `UNDECIDED`."""
    branch: Branch | None
    """None where none is taken."""
    possible: tuple[str, ...]
    """Branches that are possible: the one that is taken, or those between which it is open."""
    deciding: tuple[Claim, ...]
    """Claims that the branch depends on, or, where none is taken, those that leave it open."""
    changes: tuple[str, ...]
    """What would change it, in sentences."""

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.branch:
            return f"{self.name}: {self.branch.means}"
        return f"{self.name}, between {' and '.join(self.possible)}"

    @property
    def needs(self) -> str:
        """How many samples would decide it, in words; empty where it is decided or more samples would not help."""
        needed = max((claim.needs for claim in self.deciding if claim.status == "undecided"), default=0.0)
        return f"needs {about(needed)}" if needed and not self.branch else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreFound:
    """A score over points."""

    name: str
    score: Score
    readings: Mapping[str, Reading]
    """By point, in the order of computation."""

    def band(self, point: str) -> str:
        """Returns the name of the range in which a score is; several where its interval is in several."""
        interval = self.readings[point].interval
        if interval is None:
            return ""
        if self.readings[point].too_few:
            return "undecided"
        return " or ".join(dict.fromkeys(band_of(self.score, end) for end in (interval.high, interval.low)))


def band_of(score: Score, value: float) -> str:
    """Returns the name of the first range of a score that a value is in; empty for none."""
    return next((name for name, threshold in score.bands.items() if threshold.holds(value)), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """All that a study found."""

    study: Study
    evidence: Evidence
    recommended: Recommended | None
    criteria: tuple[Found, ...]
    verdict: Verdict
    failures: tuple[tuple[Failure, Claim], ...]
    scores: tuple[ScoreFound, ...]
    curves: tuple[CurveFound, ...]
    costs: tuple[Cost, ...]
    """Points of which one is recommended, with what they cost."""

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Claims of all criteria."""
        return tuple(claim for found in self.criteria for claim in found.claims)

    def failed(self, *, hard: bool) -> list[tuple[Failure, Claim]]:
        """Returns the hard, or the soft, failures that are met."""
        return [(own, claim) for own, claim in self.failures if own.is_hard == hard and claim.status == "met"]

    @property
    def not_measured(self) -> dict[str, str]:
        """What was not measured, by criterion or name, with the reason; unfit instruments among them."""
        open_ones = {
            f"{claim.title} ({claim.threshold})": claim.why
            for claim in self.claims
            if claim.status in ("not measured", "instrument unfit")
        }
        return {**open_ones, **self.study.not_measured}

    @property
    def of_operations(self) -> str:
        """What TFLOP of a point are, or why they are not measured, in sentences."""
        if why := why_no_operations(self.evidence):
            return f"TFLOP are not measured: {why}."
        return (
            "TFLOP are 10^12 floating-point operations of the matrix products and attention that compute a sample's "
            "features up to the point, without the words of a prompt."
        )

    @property
    def sureness(self) -> str:
        """What stands behind the statuses, in sentences."""
        read = [result for found in self.criteria for place in found.places for result in place.reading.results]
        without = dict.fromkeys(f"{result.task} by {result.head}" for result in read if not result.refits)
        refits = f", but not of {', '.join(without)}" if without else ""
        text = (
            "A claim is decided by a 95 % interval, which counts what other test samples would change and, where heads "
            f"were found again without parts of the training samples, what other training samples would{refits}; it is "
            "left open where the interval reaches over the threshold."
        )
        return text + (f" To be kept in mind: {'; '.join(self.cautions)}." if self.cautions else "")

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a reader must know of the instruments behind the claims, each once."""
        readings = [place.reading for found in self.criteria for place in found.places]
        return tuple(dict.fromkeys(part for own in readings for part in own.caution.split("; ") if part))


def find(evidence: Evidence) -> Findings:
    """Decides the criteria of a study by its evidence, and what follows from them.

    Raises `ProbeError` where a result was edited.
    """
    study = evidence.study
    recommended = recommend(evidence)
    point = recommended.point if recommended else None
    criteria = tuple(measured(evidence, name, own, point) for name, own in study.criteria.items())
    claims = {claim.name: claim for found in criteria for claim in found.claims}
    return Findings(
        study=study,
        evidence=evidence,
        recommended=recommended,
        criteria=criteria,
        verdict=decide_branch(study.decision, criteria),
        failures=tuple((own, claims[own.claim]) for own in study.failures),
        scores=tuple(_score(evidence, name, own) for name, own in study.scores.items()),
        curves=tuple(curve_found(evidence, own, read) for own in study.curves.values()),
        costs=costs(evidence),
    )


def _score(evidence: Evidence, name: str, score: Score) -> ScoreFound:
    points = evidence.points(score.points, name)
    return ScoreFound(name=name, score=score, readings={point: read(evidence, name, point) for point in points})


def decide_branch(branches: Sequence[Branch], criteria: Sequence[Found]) -> Verdict:
    """Returns the first branch whose condition holds, if all before it do not; else those that are possible."""
    claims = {claim.name: claim for found in criteria for claim in found.claims}
    truths = {name: claim.truth for name, claim in claims.items()}
    taken, possible = _taken(branches, truths)
    named = [name for branch in branches if branch.when for name in branch.when.claims()]
    if taken and taken.when:
        named = [name for name in taken.when.claims() if truths[name] is not None]
    elif not taken:
        named = [name for name in named if truths[name] is None]
    deciding = tuple(claims[name] for name in dict.fromkeys(named))
    return Verdict(
        name=taken.name if taken else UNDECIDED,
        branch=taken,
        possible=tuple(branch.name for branch in possible),
        deciding=deciding,
        changes=tuple(_changes(branches, criteria, truths, taken)),
    )


def _taken(branches: Sequence[Branch], truths: Mapping[str, bool | None]) -> tuple[Branch | None, list[Branch]]:
    """Returns the branch that is taken, None where that is open, and all that are possible."""
    possible = []
    for branch in branches:
        holds = True if branch.when is None else branch.when.holds(truths.__getitem__)
        if holds is not False:
            possible.append(branch)
        if holds:
            break
    return (possible[0] if len(possible) == 1 else None), possible


def _changes(
    branches: Sequence[Branch], criteria: Sequence[Found], truths: Mapping[str, bool | None], taken: Branch | None
) -> list[str]:
    """Tries each criterion of the decision on each side of its thresholds, the others as they are."""
    named = {name for branch in branches if branch.when for name in branch.when.claims()}
    sentences = []
    for found in criteria:
        if not {claim.name for claim in found.claims} & named:
            continue
        for words, value in _sides(found):
            tried = {**truths, **{claim.name: claim.threshold.holds(value) for claim in found.claims}}
            branch, _ = _taken(branches, tried)
            if branch and branch is not taken:
                sentences.append(f"{found.criterion.title} {words}: {branch.name}")
    return sentences


def _sides(found: Found) -> list[tuple[str, float]]:
    """Returns the ranges between a criterion's thresholds in words, each with a value inside."""
    cuts = sorted({claim.threshold.value for claim in found.claims})
    inner = [(f"from {low:g} to {high:g}", (low + high) / 2) for low, high in pairwise(cuts)]
    return [(f"below {cuts[0]:g}", cuts[0] - 1.0), *inner, (f"above {cuts[-1]:g}", cuts[-1] + 1.0)]
