"""The slides of a study, one finding a page: the verdict, why, criteria, curves, scores, sections, runs and advice."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import assert_never

from foresight_probes.report.drawn_tasks import DrawnTask
from foresight_probes.report.figures import heat_map, lines, scatter, threshold_curve
from foresight_probes.report.page import notice_of
from foresight_probes.report.section_parts import cell_text
from foresight_probes.report.slides import Deck, Words
from foresight_probes.report.task_slides import task_slide
from foresight_probes.studies.criteria import format_value
from foresight_probes.studies.curves import CurveFound
from foresight_probes.studies.parts import HeatMap, Lines, Part, Pictures, Scatter, Shown, Table
from foresight_probes.studies.running import Carried
from foresight_probes.studies.verdict import Findings, ScoreFound

Expected = Mapping[str, tuple[float, float]]


def study_slides(
    carried: Carried,
    *,
    curves: Sequence[tuple[CurveFound, str, Expected]],
    sections: Sequence[Shown],
    tasks: Sequence[DrawnTask],
    command: str,
    written: date,
) -> bytes:
    """Returns the slides of a study as PDF.

    Args:
        carried: The study, carried out.
        curves: Its curves, each with what is measured in words and the ranges that the plan expected.
        sections: Its sections.
        tasks: The tasks of its groups of runs.
        command: Command line that makes the report.
        written: Day of the report.
    """
    found = carried.findings
    deck = Deck(f"{found.study.title}: {found.verdict.name}")
    _verdict(deck, found)
    _why(deck, carried)
    _criteria(deck, found)
    for curve, meaning, expected in curves:
        _curve(deck, curve, meaning, expected)
    for score in found.scores:
        _score(deck, score)
    for section in sections:
        _section(deck, section)
    for task in tasks:
        task_slide(deck, task)
    _recommendation(deck, found)
    _origin(deck, carried, command, written)
    return deck.save(written)


def _verdict(deck: Deck, found: Findings) -> None:
    verdict = found.verdict
    deck.page(found.study.title, size=22)
    deck.paragraph(found.study.question, grey=True)
    deck.paragraph("", lead=verdict.name, size=26)
    if verdict.branch:
        deck.paragraph(f"{verdict.branch.means}.", size=15)
        deck.paragraph(verdict.branch.next, lead="Next", size=12.5)
        if verdict.branch.fallback:
            deck.paragraph(verdict.branch.fallback, lead="Fallback point", size=12.5)
    else:
        needs = f"; {verdict.needs}" if verdict.needs else ""
        deck.paragraph(f"Open between {' and '.join(verdict.possible)}{needs}.", size=15)
    for hard, name in ((True, "Hard failure"), (False, "Soft failure")):
        for failure, claim in found.failed(hard=hard):
            deck.paragraph(f"{claim.title} {claim.threshold} ({claim.why}): {failure.means}.", lead=name)


def _why(deck: Deck, carried: Carried) -> None:
    found = carried.findings
    deck.page("Why, and how sure")
    reasons = [
        f"{claim.title} {claim.threshold} is {claim.status}: {claim.why}" for claim in found.verdict.deciding
    ] or ["the other branches are ruled out, see the criteria"]
    deck.paragraph("; ".join(reasons) + ".", lead="Why")
    deck.paragraph(found.sureness, lead="How sure")
    if found.verdict.changes:
        deck.paragraph("; ".join(found.verdict.changes) + ".", lead="What would change it")
    for remark in carried.remarks:
        deck.paragraph(remark, lead="To know before any number")
    for notice in dict.fromkeys(_notices(carried)):
        deck.paragraph(notice, lead="To know before any number")
    if found.not_measured:
        deck.page("Not measured")
        deck.table(("what", "why"), list(found.not_measured.items()))


def _notices(carried: Carried) -> list[str]:
    firsts = [results[0] for results in carried.results.values() if results]
    return [notice for first in firsts if (notice := notice_of(first))]


def _criteria(deck: Deck, found: Findings) -> None:
    deck.page("Criteria")
    rows = [
        (
            own.criterion.title,
            f"{claim.name.split('.', 1)[1]} {claim.threshold}",
            Words(claim.status, bold=True),
            Words(claim.why, struck=claim.status == "instrument unfit"),
        )
        for own in found.criteria
        for claim in own.claims
    ]
    deck.table(("criterion", "threshold", "status", "because"), rows)
    deck.page("Decision table")
    verdict = found.verdict
    branches = [
        (
            Words(
                branch.name,
                bold=verdict.branch is not None and branch.name == verdict.name,
                struck=branch.name not in verdict.possible,
            ),
            str(branch.when or "otherwise"),
            branch.means,
            branch.next,
        )
        for branch in found.study.decision
    ]
    deck.table(("branch", "when", "means", "next"), branches)
    deck.paragraph(
        "The first branch that holds is taken if all before it do not; struck through are those that are ruled out.",
        grey=True,
        size=9,
    )


def _curve(deck: Deck, curve: CurveFound, meaning: str, expected: Expected) -> None:
    deck.page(curve.curve.title)
    deck.paragraph(curve.sentence)
    if any(own.interval for own in curve.readings.values()):
        deck.figure(partial(threshold_curve.plot, found=curve, meaning=meaning, expected=expected))


def _score(deck: Deck, own: ScoreFound) -> None:
    deck.page(own.score.title[0].upper() + own.score.title[1:])
    rows = [
        (
            point,
            format_value(reading.interval) if reading.interval else f"not measured: {reading.reason or reading.unfit}",
            own.band(point),
        )
        for point, reading in own.readings.items()
    ]
    deck.table(("point", own.name, "range"), rows)


def _section(deck: Deck, section: Shown) -> None:
    if section.reason:
        deck.page(section.title)
        deck.paragraph(f"Not measured: {section.reason}.")
    for part in section.parts:
        deck.page(f"{section.title}: {part.title}" if part.title and part.title != section.title else section.title)
        _part(deck, part)


def _part(deck: Deck, part: Part) -> None:
    """Writes a part; the note stands before a figure, which takes the rest of the page."""
    match part:
        case Table():
            deck.table(part.columns, [tuple(map(cell_text, row)) for row in part.rows])
            _note(deck, part)
        case Lines():
            _note(deck, part)
            deck.figure(partial(lines.plot, lines=part))
        case Scatter():
            _note(deck, part)
            deck.figure(partial(scatter.plot, scatter=part, across=min(4, len(part.panels))))
        case HeatMap():
            _note(deck, part)
            deck.figure(partial(heat_map.plot, part=part))
        case Pictures():
            for name, row in part.rows.items():
                deck.pictures(name, [(picture.pixels, picture.caption) for picture in row])
            _note(deck, part)
        case _:
            assert_never(part)


def _note(deck: Deck, part: Part) -> None:
    if part.note:
        deck.paragraph(part.note, grey=True, size=9)


def _recommendation(deck: Deck, found: Findings) -> None:
    own = found.recommended
    if own is None and not found.costs:
        return
    deck.page("The recommended point" if own else "Value against cost")
    if own and own.reading.interval:
        measure = found.study.measures[own.measure].title
        deck.paragraph("", lead=own.point, size=18)
        deck.paragraph(
            f"Validation chooses it by {measure}; on the test samples it reads {format_value(own.reading.interval)}."
        )
        if own.better:
            second = f" Validation's second is {own.second}." if own.second else ""
            deck.paragraph(
                f"The probability that another point is better is at most {100 * own.doubt:.0f} % for a single one."
                f"{second}"
            )
    if found.costs and found.study.recommendation:
        title = found.study.measures[found.study.recommendation.measure].title
        rows = [
            (
                cost.point,
                format_value(cost.reading.interval) if cost.reading.interval else "not measured",
                f"{100 * own.better[cost.point]:.0f} %" if own and cost.point in own.better else "",
                f"{cost.tokens:,.0f}",
                f"{cost.channels:,}",
                f"{cost.bytes:,.0f}",
            )
            for cost in found.costs
        ]
        columns = ("point", title, "better than the recommended one", "tokens", "channels", "bytes")
        deck.table(columns, rows)


def _origin(deck: Deck, carried: Carried, command: str, written: date) -> None:
    study = carried.findings.study
    deck.page("Where this comes from")
    first = next((results[0] for results in carried.results.values() if results), None)
    rows = [("study", f"{study.name}, version {study.version}; {study.digest}"), ("command", command)]
    for name, cache in carried.findings.evidence.caches.items():
        rows.append((f"cache of {name}", f"{cache.path}; fingerprint {cache.digest}"))
    for name, words in carried.findings.evidence.words.items():
        rows.append((f"index of {name}", f"{words.index}; fingerprint {words.index_digest}"))
    if first:
        rows.append(("versions", ", ".join(f"{name} {value}" for name, value in first.versions.items())))
    deck.table(("what", ""), [*rows, ("written", written.isoformat())])
