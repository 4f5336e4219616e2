"""The report of a study: its verdict first, then criteria, scores and curves, then every run."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.report.drawn_tasks import FIGURES, DrawnTask, draw_tasks
from foresight_probes.report.figures import threshold_curve
from foresight_probes.report.page import Page, page
from foresight_probes.report.rendering import run_templates
from foresight_probes.report.run_links import RunLinks, anchor
from foresight_probes.report.section_parts import drawn
from foresight_probes.report.study_slides import study_slides
from foresight_probes.results.result import Result, result_path, summary_row
from foresight_probes.studies.criteria import Found
from foresight_probes.studies.curves import CurveFound
from foresight_probes.studies.planning import RUNS, division_of
from foresight_probes.studies.running import Carried
from foresight_probes.studies.sections import show_all
from foresight_probes.studies.verdict import Findings

_COLUMNS = ("runs", "dataset", "task", "point", "run", "head", "seed", "metric", "value", "low", "high")
"""Columns of the table of all runs that are there even where nothing could be measured."""
TABLE, VERDICT = "results.csv", "verdict.json"
"""Names of the table of all runs, and of the verdict for programs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The page of a group of runs, with its tasks."""

    name: str
    anchor: str
    """Name of its place in the page."""
    page: Page
    tasks: tuple[DrawnTask, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePart:
    """A curve with its figure, whose texts are empty where nothing was measured along it."""

    found: CurveFound
    meaning: str
    """What is measured, in words."""
    expected: Mapping[str, tuple[float, float]]
    """Ranges that the plan expected, by point."""
    svg: str
    picture: str


def write_study(carried: Carried, out: Path, *, command: str, written: date) -> Path:
    """Writes `report.html`, `.md` and `.pdf`, `results.csv`, `.parquet`, `verdict.json` and figures; returns the first.

    The HTML stands alone but for links to the files of runs. The same findings give the same bytes but for the date.

    Args:
        carried: The study, carried out.
        out: Its folder, which has its runs.
        command: Command line that makes this report.
        written: Day that is given at its foot.

    Raises: `ProbeError` where `out` cannot be written.
    """
    try:
        (out / FIGURES).mkdir(parents=True, exist_ok=True)
        parts = [_part(name, results, out) for name, results in carried.results.items() if results]
        curves = [_curve(number, carried.findings, out) for number in range(len(carried.findings.curves))]
        write_file(out / TABLE, _table(carried.results).encode())
        write_file((out / TABLE).with_suffix(".parquet"), _parquet(carried.results))
        write_file(out / VERDICT, (json.dumps(verdict_json(carried), indent=1, ensure_ascii=False) + "\n").encode())
        shown = show_all(carried.findings.evidence)
        links = _links(carried, out)
        names = {
            **{"carried": carried, "found": carried.findings, "parts": parts, "curves": curves},
            **{"command": command, "written": written.isoformat(), "tone": tone(carried.findings)},
            "drawn_sections": drawn(shown, FIGURES, links),
            **{
                "versions": {name: value for part in parts for name, value in part.page.versions.items()},
                "run_links": run_links,
                "links": links,
            },
        }
        for suffix in ("md", "html"):
            text = run_templates().get_template(f"study.{suffix}.jinja").render(**names)
            write_file(out / f"report.{suffix}", text.encode())
        slides = study_slides(
            carried,
            curves=[(own.found, own.meaning, own.expected) for own in curves],
            sections=shown,
            tasks=[task for part in parts for task in part.tasks],
            command=command,
            written=written,
        )
        write_file(out / "report.pdf", slides)
    except OSError as error:
        raise ProbeError(f"cannot write the report to {out}: {error.strerror or error}") from error
    return out / "report.html"


def _links(carried: Carried, out: Path) -> RunLinks:
    """Returns links to runs; of one that several groups have, to that of the first."""
    stored: dict[str, Result] = {}
    for result in (own for results in carried.results.values() for own in results):
        stored.setdefault(result.identity, result)
    return RunLinks(out, stored)


def _part(name: str, results: Sequence[Result], out: Path) -> Part:
    content, place = page(results), ("runs", name)
    tasks = draw_tasks(content, out, folder=name, place=place)
    return Part(name=name, anchor=anchor(*place), page=content, tasks=tasks)


def _curve(number: int, findings: Findings, out: Path) -> CurvePart:
    found, name = findings.curves[number], list(findings.study.curves)[number]
    picture = f"{FIGURES}/curve-{name}.png"
    expected, meant = findings.study.expected.get(found.curve.measure, {}), findings.evidence.points
    ranges = {point: span for text, span in expected.items() for point in meant([text], found.curve.measure)}
    measures, scores = findings.study.measures, findings.study.scores
    meaning = (measures.get(found.curve.measure) or scores[found.curve.measure]).title
    if not any(own.interval for own in found.readings.values()):
        return CurvePart(found=found, meaning=meaning, expected=ranges, svg="", picture="")
    svg = threshold_curve.draw(found, meaning, ranges, (out / picture).with_suffix(""))
    return CurvePart(found=found, meaning=meaning, expected=ranges, svg=svg, picture=picture)


def tone(findings: Findings) -> str:
    """Returns the colour of the verdict: `open` where it is, `bad` beside a hard failure, else `plain`."""
    if findings.verdict.branch is None:
        return "open"
    return "bad" if findings.failed(hard=True) else "plain"


def run_links(findings: Findings, found: Found) -> list[tuple[str, str]]:
    """Returns names and paths, from the study's folder, of the runs behind a criterion."""
    measures = findings.study.measures
    own = measures.get(found.criterion.measure)
    links = {}
    for place in found.places:
        for result in place.reading.results:
            group = own.runs if own else _group_of(findings, result)
            folder = division_of(findings.study.runs[group]).folder(Path(RUNS) / group)
            path = result_path(folder, task=result.task, point=result.point, run=result.run)
            links[f"{result.task}/{result.point}/{result.run}"] = path.as_posix()
    return list(links.items())


def _group_of(findings: Findings, result: Result) -> str:
    """Returns the group of runs that a result of a score is of."""
    groups = findings.evidence.results
    return next(name for name, results in groups.items() if any(own.identity == result.identity for own in results))


def verdict_json(carried: Carried) -> dict[str, Any]:
    """Returns the verdict with its claims as plain JSON values."""
    findings = carried.findings
    study, verdict = findings.study, findings.verdict
    return {
        "study": {"name": study.name, "version": study.version, "digest": study.digest},
        "verdict": verdict.name,
        "possible": list(verdict.possible),
        "means": verdict.branch.means if verdict.branch else None,
        "next": verdict.branch.next if verdict.branch else None,
        "fallback": (verdict.branch.fallback or None) if verdict.branch else None,
        "needs": verdict.needs or None,
        "deciding": [claim.name for claim in verdict.deciding],
        "changes": list(verdict.changes),
        "recommended": recommended_json(findings),
        "claims": {
            claim.name: {"threshold": str(claim.threshold), "status": claim.status, "why": claim.why}
            for claim in findings.claims
        },
        "hard_failures": [claim.name for _, claim in findings.failed(hard=True)],
        "soft_failures": [claim.name for _, claim in findings.failed(hard=False)],
        "scores": {
            own.name: {
                point: {**(asdict(reading.interval) if reading.interval else {}), "band": own.band(point) or None}
                for point, reading in own.readings.items()
            }
            for own in findings.scores
        },
        "curves": {name: own.sentence for name, own in zip(study.curves, findings.curves, strict=True)},
        "not_measured": findings.not_measured,
        "remarks": list(carried.remarks),
    }


def recommended_json(findings: Findings) -> dict[str, Any] | None:
    """Returns the recommended point with the probabilities that others are better; None where there is none."""
    own = findings.recommended
    return None if own is None else {"point": own.point, "second": own.second or None, "better": dict(own.better)}


def _rows(results: Mapping[str, Sequence[Result]]) -> list[dict[str, Any]]:
    return [
        {"runs": name, "dataset": result.cache.get("dataset"), **summary_row(result)}
        for name, of_group in results.items()
        for result in of_group
    ]


def _parquet(results: Mapping[str, Sequence[Result]]) -> bytes:
    """The same table for pandas, DuckDB and their like."""
    import pyarrow
    from pyarrow import parquet

    rows = _rows(results)
    columns = dict.fromkeys((*_COLUMNS, *(column for row in rows for column in row)))
    sink = pyarrow.BufferOutputStream()
    table = pyarrow.table({column: [row.get(column) for row in rows] for column in columns})
    parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _table(results: Mapping[str, Sequence[Result]]) -> str:
    """All runs with all digits; a column that a row does not have is empty."""
    rows = _rows(results)
    columns = dict.fromkeys((*_COLUMNS, *(column for row in rows for column in row)))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
