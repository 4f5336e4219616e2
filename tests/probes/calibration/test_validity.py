"""A calibration holds as long as the code and the options that decide what is read."""

import shutil
from pathlib import Path

import pytest

from foresight_cache.errors import UnknownName
from foresight_probes.calibration.state import CalibrationState, calibration_of, shipped_table
from foresight_probes.calibration.validity import PACKAGE, digest
from foresight_probes.options import TrainingOptions


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package as it would be in another version."""
    return shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))


def changed(copy: Path, file: str, task: str = "counting", head: str = "mlp") -> bool:
    """Tells whether a change to a file changes the digest of an instrument."""
    before = digest(task, head, package=copy)
    path = copy / file
    path.write_text(path.read_text() + "\n# another line\n")
    fresh = copy.parent / f"{path.stem}-changed" / PACKAGE.name  # as a fresh version, whose files were not read yet
    shutil.copytree(copy, fresh)
    return digest(task, head, package=fresh) != before


def test_a_copy_has_the_same_digest(copy: Path) -> None:
    assert digest("counting", "mlp", package=copy) == digest("counting", "mlp")


@pytest.mark.parametrize(
    "file",
    [
        *("heads/mlp.py", "heads/layers/base.py", "tasks/counting.py", "tasks/kinds/regression.py"),
        *("metrics/regression_metrics.py", "training/ridge_regression.py", "training/search.py"),
        "features/standardization.py",
    ],
)
def test_the_code_of_an_instrument_outdates_it(copy: Path, file: str) -> None:
    assert changed(copy, file)


@pytest.mark.parametrize(
    "file", ["heads/spatial_softmax.py", "tasks/boxes.py", "report/page.py", "calibration/rules.py", "sweeps/run.py"]
)
def test_other_code_does_not(copy: Path, file: str) -> None:
    assert not changed(copy, file)


@pytest.mark.parametrize(
    ("task", "file", "outdates"),
    [("counting", "search", False), ("counting", "ridge_regression", True), ("boxes", "search", True)],
)
def test_how_heads_are_trained_does_not_outdate_those_that_are_solved(
    copy: Path, task: str, file: str, outdates: bool
) -> None:
    """A linear head for boxes is trained, from a closed form."""
    assert changed(copy, f"training/{file}.py", task, "pooled-linear") is outdates


def test_instruments_have_digests_of_their_own() -> None:
    names = [("counting", "mlp"), ("counting", "pooled-linear"), ("boxes", "mlp"), ("boxes", "pooled-linear")]
    assert len({digest(*name) for name in names}) == len(names)


def test_options_that_decide_are_part_of_it() -> None:
    usual = digest("counting", "mlp")
    assert digest("counting", "mlp", TrainingOptions()) == usual
    assert digest("counting", "mlp", TrainingOptions(epochs=3)) != usual
    for neutral in (TrainingOptions(resamples=10), TrainingOptions(device="cpu"), TrainingOptions(train_share=0.5)):
        assert digest("counting", "mlp", neutral) == usual


def test_an_unknown_head_is_named() -> None:
    with pytest.raises(UnknownName, match="mpl"):
        digest("counting", "mpl")


def row(rule: str, verdict: str, geometry: str = "") -> dict[str, str]:
    return {"rule": rule, "form": "answers.snr", "geometry": geometry, "verdict": verdict}


def table(*rows: dict[str, str], failure: str = "", own: str | None = None) -> dict[str, object]:
    entry = {"task": "counting", "head": "mlp", "digest": own or digest("counting", "mlp"), "failure": failure}
    return {"instruments": [{**entry, "rows": list(rows)}]}


def state(stored: dict[str, object], **options: int) -> CalibrationState:
    return calibration_of("counting", "mlp", TrainingOptions(**options) if options else None, table=stored)  # type: ignore[arg-type]


def test_a_fit_instrument_with_its_geometries() -> None:
    rows = [row("present", "fit"), row("fair", "fit", "base"), row("fair", "fit", "llm")]
    assert state(table(*rows)) == CalibrationState(calibrated="fit", reason="", geometries=("base", "llm"))


def test_an_unfit_instrument_says_where() -> None:
    found = state(table(row("present", "fit"), row("fair", "fit", "base"), row("fair", "unfit", "llm")))
    assert found.calibrated == "unfit"
    assert found.reason == "unfit in 1 of 3 checks: fair (answers.snr in llm)"
    assert found.geometries == ("base",)


def test_an_instrument_that_could_not_be_trained_is_unfit() -> None:
    found = state(table(failure="the loss was not finite"))
    assert (found.calibrated, found.reason) == ("unfit", "the loss was not finite")


def test_never_and_outdated() -> None:
    assert state({"instruments": []}).calibrated == "never"
    assert state(table(row("present", "fit"), own="0" * 64)).calibrated == "outdated"
    found = state(table(row("present", "fit")), epochs=3)
    assert (found.calibrated, found.reason) == ("never", "calibrated with other options of training")


def test_a_geometry_that_one_kind_of_facts_fails_is_not_named() -> None:
    rows = [row("fair", "fit", "llm"), {**row("fair", "unfit", "llm"), "form": "lists.snr"}]
    assert state(table(*rows)).geometries == ()


def test_the_release_has_a_table() -> None:
    assert "instruments" in shipped_table()
