"""A calibration from planting to the table, in small: what it says, that it goes on, and where a release has it."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.calibration import kept_runs
from foresight_probes.calibration import trainings as module
from foresight_probes.calibration.checks import FULL, Extent, Instrument, instruments
from foresight_probes.calibration.rules import Row
from foresight_probes.calibration.state import calibration_of, shipped_table
from foresight_probes.calibration.table import COLUMNS, Calibrated, calibrate
from foresight_probes.calibration.trainings import place_of
from foresight_probes.calibration.validity import digest
from foresight_probes.results.result import Result
from pipelines.calibration_release import release
from tests.support.command import foresight, said

SMALL = Extent(train=100, validation=40, test=120, few=None, geometries=("base", "scaled"), hard=())
SOLVED = [Instrument(task="counting", head="pooled-linear")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Calibrated]]:
    out = tmp_path_factory.mktemp("calibration")
    return out, calibrate(SOLVED, SMALL, out, say=lambda _: None)


def files(out: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(out)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in out.rglob("*")
        if path.is_file() and ".partial" not in path.parts and ".claims" not in path.parts
    }


def test_a_closed_form_is_fit(finished: tuple[Path, list[Calibrated]]) -> None:
    (own,) = finished[1]
    rows = {(row.rule, row.form, row.geometry): row for row in own.rows}
    assert rows.keys() == {
        ("present", "answers.linear", ""),
        ("known", "answers.snr", ""),
        ("fair", "answers.mild_snr", "base"),
        ("fair", "answers.mild_snr", "scaled"),
        ("absent", "nothing.linear", ""),
        ("absent", "places.linear", ""),
    }
    assert {row.verdict for row in own.rows} == {"fit"}
    assert rows["known", "answers.snr", ""].expected == pytest.approx(1 / 1.16, abs=0.06)
    assert rows["present", "answers.linear", ""].obtained > 0.99


def test_the_table_is_written_for_people_and_programs(finished: tuple[Path, list[Calibrated]]) -> None:
    out, (own,) = finished
    stored = json.loads((out / "table.json").read_text())
    state = calibration_of("counting", "pooled-linear", table=stored)
    assert (state.calibrated, state.geometries) == ("fit", ("base", "scaled"))
    with (out / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS
    assert [float(line["obtained"]) for line in lines] == [row.obtained for row in own.rows]
    page = (out / "table.md").read_text()
    assert "| counting | `pooled-linear` | r2 (" in page
    assert page.count("**") == 0  # nothing is unfit


def test_what_is_finished_is_kept_and_what_is_missing_is_done_again(finished: tuple[Path, list[Calibrated]]) -> None:
    out, first = finished
    before = files(out)
    assert calibrate(SOLVED, SMALL, out, say=lambda _: None) == first
    kept = {name for name in before if name.startswith(("runs", "caches"))}
    after = files(out)
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    (lost,) = out.glob("runs/*/*/counting/answers.mild_snr.scaled/*.json")
    lost.unlink()
    assert calibrate(SOLVED, SMALL, out, say=lambda _: None) == first
    touched = {name for name, own in files(out).items() if name in kept and own != after[name]}
    assert {Path(name).parent.name for name in touched} == {"answers.mild_snr.scaled"}


def test_runs_of_other_code_are_not_kept(
    finished: tuple[Path, list[Calibrated]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = finished
    before = set(out.glob("runs/*"))
    monkeypatch.setattr(module, "digest", lambda *_: "f" * 64)
    one = Extent(train=100, validation=40, test=120, few=None, geometries=(), hard=())
    calibrate(SOLVED, one, out, say=lambda _: None)
    assert {path.name for path in set(out.glob("runs/*")) - before} == {f"counting-pooled-linear-{'f' * 12}"}


def test_several_workers_make_what_one_makes(
    finished: tuple[Path, list[Calibrated]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done, made_here = module.train, list[int](), list[Result]()

    def train(*cache: object, **options: object) -> list[Result]:
        results = real(*cache, **options)  # type: ignore[arg-type]
        made_here.extend(result for result in results if result.trained_now)
        return results

    monkeypatch.setattr(module, "train", train)

    def advance(count: int, _size: int) -> None:
        done.append(count)

    assert calibrate(SOLVED, SMALL, tmp_path, workers=2, advance=advance, say=lambda _: None) == finished[1]
    assert done == [1] * len(finished[1][0].rows)
    assert not made_here


def test_an_instrument_that_cannot_be_trained_is_unfit_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.train

    def fails(cache: object, *, tasks: list[str], **options: object) -> object:
        if tasks == ["hallucination"]:
            raise ProbeError("the loss was not finite")
        return real(cache, tasks=tasks, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train", fails)
    said: list[str] = []
    both = [Instrument(task="hallucination", head="pooled-linear"), *SOLVED]
    one = Extent(train=100, validation=40, test=120, few=None, geometries=(), hard=())
    first, second = calibrate(both, one, tmp_path, say=said.append)
    assert (first.failure, first.rows, second.failure) == ("the loss was not finite", (), "")
    assert said[0] == "hallucination/pooled-linear: the loss was not finite"
    stored = json.loads((tmp_path / "table.json").read_text())
    assert calibration_of("hallucination", "pooled-linear", table=stored).calibrated == "unfit"
    assert "the loss was not finite" in (tmp_path / "table.md").read_text()


def test_a_release_has_the_table_in_its_package_and_its_page(
    finished: tuple[Path, list[Calibrated]], tmp_path: Path
) -> None:
    out, _ = finished
    (tmp_path / "docs").mkdir()
    (tmp_path / "foresight_probes" / "calibration").mkdir(parents=True)
    page = tmp_path / "docs" / "statistics.md"
    page.write_text("Before.\n\n<!-- calibration table -->\n\nOld.\n\n<!-- end of calibration table -->\n\nAfter.\n")
    for _ in range(2):
        release(out, tmp_path)
        assert page.read_text() == (
            f"Before.\n\n<!-- calibration table -->\n\n{(out / 'table.md').read_text()}\n"
            "<!-- end of calibration table -->\n\nAfter.\n"
        )
    shipped = tmp_path / "foresight_probes" / "calibration" / "table.json"
    assert shipped.read_bytes() == (out / "table.json").read_bytes()
    page.write_text("Nothing.\n")
    with pytest.raises(ValueError, match="no place for the table"):
        release(out, tmp_path)


def test_a_release_keeps_what_is_finished_and_valid(
    finished: tuple[Path, list[Calibrated]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instruments of this code stay, those of other code go, and single runs are found again on another machine."""
    out, (own,) = finished
    folder = tmp_path / "foresight_probes" / "calibration"
    folder.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "statistics.md").write_text("<!-- calibration table -->\n<!-- end of calibration table -->\n")
    stored = json.loads((out / "table.json").read_text())
    [entry] = stored["instruments"]
    valid = {**entry, "task": "relation", "digest": digest("relation", "pooled-linear")}
    foreign = {**entry, "task": "speed", "head": "temporal-linear", "digest": "0" * 64}
    (folder / "table.json").write_text(json.dumps({**stored, "instruments": [valid, foreign]}))
    release(out, tmp_path)
    shipped = json.loads((folder / "table.json").read_text())["instruments"]
    assert [(each["task"], each["head"]) for each in shipped] == [
        ("counting", "pooled-linear"),
        ("relation", "pooled-linear"),
    ]
    assert json.loads((folder / "kept_runs.json").read_text()) == {}

    unfinished = tmp_path / "unfinished"
    (unfinished / "runs").mkdir(parents=True)
    shutil.copytree(out / "runs" / place_of(own.instrument), unfinished / "runs" / place_of(own.instrument))
    (folder / "table.json").unlink()
    release(unfinished, tmp_path)
    kept = json.loads((folder / "kept_runs.json").read_text())
    monkeypatch.setattr(kept_runs, "shipped_runs", lambda: kept)
    monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail("a run that is kept was trained"))
    (again,) = calibrate(SOLVED, SMALL, tmp_path / "elsewhere", say=lambda _: None)
    assert again == own
    assert not (tmp_path / "elsewhere" / "caches").exists()


def test_a_calibration_of_another_extent_is_not_joined(finished: tuple[Path, list[Calibrated]], tmp_path: Path) -> None:
    folder = tmp_path / "foresight_probes" / "calibration"
    folder.mkdir(parents=True)
    stored = json.loads((finished[0] / "table.json").read_text())
    (folder / "table.json").write_text(json.dumps({**stored, "extent": {"train": 3}}))
    with pytest.raises(ValueError, match="of another extent"):
        release(finished[0], tmp_path)


def test_the_documentation_has_a_place_for_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text()
    assert page.count("<!-- calibration table -->") == page.count("<!-- end of calibration table -->") == 1


def test_rows_have_the_columns_of_the_table() -> None:
    assert {"task", "head", "form", "geometry", "expected", "obtained", "low", "high", "verdict", "reason"} <= set(
        COLUMNS
    )
    assert tuple(Row.__dataclass_fields__) == COLUMNS


def test_the_command_names_the_nearest_task(tmp_path: Path) -> None:
    sentence = said("calibrate", "--tasks", "countin", "--out", tmp_path / "new", status=2)
    assert "'countin'" in sentence
    assert "counting" in sentence
    assert not (tmp_path / "new").exists()


def test_the_command_prints_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foresight_probes.calibration.checks.QUICK", SMALL)
    run = foresight("calibrate", "--quick", "--tasks", "counting", "--out", tmp_path)
    assert run.returncode == 0
    heading, *lines = run.stdout.splitlines()
    assert heading.split() == list(COLUMNS)
    assert len(lines) == 6
    assert "counting/pooled-linear: fit" in run.stderr
    as_json = foresight("calibrate", "--quick", "--tasks", "counting", "--out", tmp_path, "--json")
    assert json.loads(as_json.stdout) == json.loads((tmp_path / "table.json").read_text())


def test_the_shipped_table_is_of_instruments_that_there_are() -> None:
    """Whether it is of this code too, each instrument's state tells."""
    shipped = {(own["task"], own["head"]) for own in shipped_table()["instruments"]}
    assert shipped
    assert shipped <= {(own.task, own.head) for own in instruments(FULL)}
