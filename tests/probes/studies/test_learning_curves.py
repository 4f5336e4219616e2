"""Learning curves: each is what its run reached on validation, as training saw it, and nothing else is drawn."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.report.run_links import RunLinks
from foresight_probes.report.section_parts import drawn
from foresight_probes.results.result import Result
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Lines, Part, Table
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import Carried, carry_out
from foresight_probes.training.bank import Bank

STUDY = """\
name: curves
version: 1
title: Learning curves
question: How fast is it learned?
model: planted
datasets: {scenes: {dataset: planted-several, split: train, samples: 72, media: image}}
runs:
  counts:
    dataset: scenes
    tasks: counting
    points: [lists.snr, answers.snr]
    heads: [mlp, pooled-linear]
    seeds: [0, 1]
    controls: false
    options: {epochs: 2, learning_rate: 0.003, device: cpu}
  solved: {dataset: scenes, tasks: counting, points: lists.snr, heads: pooled-linear, controls: false}
measures:
  count: {title: R², runs: counts, task: counting, metric: r2}
  error: {title: error, runs: counts, task: counting, metric: mae}
  alone: {title: R², runs: solved, task: counting, metric: r2}
criteria:
  counted: {title: counted, measure: count, point: lists.snr, levels: {well: "> 0.9"}}
decision:
  - {branch: GO, when: counted.well, means: they are, next: Go on.}
  - {branch: STOP, when: otherwise, means: they are not, next: Stop.}
sections:
  curves: {kind: learning-curves, title: How heads learn, measures: [count, error, alone], points: "*"}
"""
Seen = dict[tuple[str, str], dict[int, float]]
"""Values on validation by epoch, by point and name of a candidate, as training saw them; of starts at all points."""
START = "start"


def carried(folder: Path) -> Carried:
    planted = PlantedCache(world="several", train=40, validation=16, test=16, rows=4)
    cache = planted.write(folder / "cache", ("lists.snr", "answers.snr"))
    study = parse_study(STUDY, "curves.yaml")
    return carry_out(plan_study(study, join(study, [cache.path]), folder / "out", Settings()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Carried, Seen]:
    folder, seen = tmp_path_factory.mktemp("curves"), Seen()
    select: Callable[..., None] = Bank._select

    def watched(bank: Bank, index: int, value: float, epoch: int, scores: Any) -> None:
        point = str(bank.loggers[0].name) if bank.loggers else START
        own = seen.setdefault((point, bank._names[index]), {})
        own[epoch if bank.loggers else len(own)] = value
        select(bank, index, value, epoch, scores)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bank, "_select", watched)
        own = carried(folder)
    return folder, own, seen


def parts(evidence: Evidence) -> list[Part]:
    request = evidence.study.sections["curves"]
    return sections.load(request.kind).parts(evidence, request)


def mlps(evidence: Evidence, point: str) -> list[Result]:
    return [own for own in evidence.results["counts"] if (own.head, own.point) == ("mlp", point)]


def test_curves_are_what_training_saw_of_the_run_that_validation_chose(trained: tuple[Path, Carried, Seen]) -> None:
    _, own, seen = trained
    evidence = own.findings.evidence
    first, second, table, others = parts(evidence)
    assert isinstance(table, Table)
    rows = {(row[0], row[1], row[2]): row for row in table.rows}
    for figure in (first, second):
        assert isinstance(figure, Lines)
        assert figure.up == "R² on validation"
        point = next(name for name in ("lists.snr", "answers.snr") if name in figure.title)
        assert [series.name for series in figure.series] == ["mlp, seed 0", "mlp, seed 1"]
        for result, series in zip(mlps(evidence, point), figure.series, strict=True):
            chosen = result.validation
            rate, decay = f"{chosen['learning_rate']:g}", f"{chosen['weight_decay']:g}"
            name = f"counting/mlp-lr{rate}-wd{decay}-seed{result.seed}/{chosen['inputs']}"
            values = dict(zip(map(int, map(float, series.places)), series.values, strict=True))
            assert (0 in values) == (chosen["epoch"] == 0)
            assert values.pop(0, chosen["value"]) in {chosen["value"], *seen[START, name].values()}
            assert values == pytest.approx(seen[point, name])
            assert max(values) >= 2
            row = rows[point, "mlp", result.seed]
            assert row[3:6] == (max(values), chosen["epoch"], chosen["value"])
            assert ("no epoch was better" in str(row[8])) == (chosen["epoch"] == 0)
            assert seen[point, name].get(chosen["epoch"], chosen["value"]) == pytest.approx(chosen["value"])
    assert rows["lists.snr", "pooled-linear", 0][3:] == (*[None] * 5, "pooled-linear is solved and has no epochs")
    assert isinstance(others, Table)
    assert others.rows == (("counting (solved)", "pooled-linear is solved and has no epochs"),)


def test_a_rerun_trains_nothing_and_draws_the_same_bytes(trained: tuple[Path, Carried, Seen], tmp_path: Path) -> None:
    folder, own, _ = trained
    again = carried(folder)
    assert again.trained == 0
    pages = []
    for name, evidence in (("first", own.findings.evidence), ("again", again.findings.evidence)):
        (tmp_path / name / "figures").mkdir(parents=True)
        shown = [one for one in sections.show_all(evidence) if one.name == "curves"]
        pages.append(drawn(shown, "figures", RunLinks(tmp_path / name)))
        assert shown[0].reason == ""
    assert pages[0] == pages[1]
    files = [sorted(path.read_bytes() for path in (tmp_path / name).rglob("*.*")) for name in ("first", "again")]
    assert files[0] == files[1]
    assert len(files[0]) == 4  # two figures, each as PNG and SVG


def test_the_log_of_an_interrupted_training_and_another_runs_are_passed_over(
    trained: tuple[Path, Carried, Seen], tmp_path: Path
) -> None:
    folder, own, _ = trained
    whole = parts(own.findings.evidence)
    evidence = elsewhere(own.findings.evidence, folder / "out", tmp_path)
    for log in (tmp_path / "out").rglob("metrics.csv"):
        lines = log.read_text().splitlines(keepends=True)
        for number, left in ((1, 3), (10, 2)):
            other = log.parent.parent / f"version_{number}" / log.name
            other.parent.mkdir()
            other.write_text("".join(lines[:left]))
    assert parts(evidence) == whole


def test_without_logs_or_with_others_it_says_so(trained: tuple[Path, Carried, Seen], tmp_path: Path) -> None:
    folder, own, _ = trained
    evidence = elsewhere(own.findings.evidence, folder / "out", tmp_path)
    assert any(result.validation["epoch"] for result in mlps(evidence, "lists.snr"))
    (log,) = (tmp_path / "out" / "runs" / "counts" / "logs" / "lists.snr").rglob("metrics.csv")
    log.write_text(log.read_text().replace(",0.9", ",0.8"))
    assert "no log of mlp in logs/lists.snr tells the value in its file" in str(parts(evidence))
    log.write_bytes(b"\xff\x00")
    assert "mlp has no log of its epochs in logs/lists.snr" in str(parts(evidence))
    shutil.rmtree(tmp_path / "out" / "runs" / "counts" / "logs")
    with pytest.raises(ProbeError, match=r"counting \(counts\): mlp has no log of its epochs in logs/answers.snr"):
        parts(evidence)


def elsewhere(evidence: Evidence, out: Path, folder: Path) -> Evidence:
    """Evidence of a copy of the runs."""
    shutil.copytree(out, folder / "out")
    results = {
        name: [
            replace(own, scores_source=folder / "out" / own.scores_source.relative_to(out))
            for own in of_group
            if isinstance(own.scores_source, Path)
        ]
        for name, of_group in evidence.results.items()
    }
    return replace(evidence, results=results)
