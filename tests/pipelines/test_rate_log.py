"""Rates of an extraction in CSV, TensorBoard and Weights & Biases."""

import csv
from importlib.util import find_spec
from pathlib import Path

import pytest

from foresight_cache.runtime.progress import StageTimes
from pipelines import rate_log
from pipelines.rate_log import logged, open_loggers
from tests.support.command import foresight, said

MODEL = ["--model", "tiny:qwen2_5_vl", "--points", "E1", "--size", "56x56"]


class Shown:
    """A `Report` that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def __call__(self, samples: int, size: int) -> None:
        self.told.append((samples, size))

    def expect(self, total: int) -> None:
        self.told.append((total, -1))


def rows(folder: Path) -> list[dict[str, str]]:
    (path,) = folder.rglob("metrics.csv")
    return list(csv.DictReader(path.open()))


def test_rates_are_of_the_time_since_the_value_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 40 samples and 2 MB in 8 s, then 60 and 30 MB in 6 s; what comes within 5 s waits for the next."""
    now = [100.0]
    monkeypatch.setattr(rate_log.time, "monotonic", lambda: now[0])
    times, shown = StageTimes(), Shown()
    times.seconds |= {"input": 1.0, "model": 3.0}
    with logged(shown, open_loggers(["csv"], tmp_path), times) as report:
        for seconds, samples, size in ((4, 10, 500_000), (4, 30, 1_500_000), (3, 20, 10_000_000), (3, 40, 20_000_000)):
            now[0] += seconds
            report(samples, size)
        report.expect(7)
    assert shown.told == [(10, 500_000), (30, 1_500_000), (20, 10_000_000), (40, 20_000_000), (7, -1)]
    names = ("step", "extract/samples_per_second", "extract/megabytes_per_second", "extract/share_model")
    assert [[float(row[name]) for name in names] for row in rows(tmp_path)] == [
        [40, 5.0, 0.25, 0.75],
        [100, 10.0, 5.0, 0.75],
    ]


def test_an_extraction_that_fails_has_logged_what_it_did(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no more"), logged(Shown(), open_loggers(["csv"], tmp_path)) as report:
        report(3, 1)
        raise OSError("no more")
    assert [row["step"] for row in rows(tmp_path)] == ["3"]


def test_the_command_logs_beside_the_cache_or_where_it_is_told(tmp_path: Path) -> None:
    foresight("prepare", "shapes", "--limit", 5, "--out", tmp_path / "shards")
    foresight("extract", tmp_path / "shards", *MODEL, "--out", tmp_path / "cache", "--logger", "csv")
    assert rows(tmp_path / "cache.logs")[-1]["step"] == "5"
    foresight("verify", tmp_path / "cache")
    again = ["--out", tmp_path / "other", "--logger", "csv,none", "--logs", tmp_path / "elsewhere"]
    foresight("extract", tmp_path / "shards", *MODEL, *again)
    assert rows(tmp_path / "elsewhere/logs")[-1]["step"] == "5"


def test_no_logger_and_wrong_ones(tmp_path: Path) -> None:
    shown = Shown()
    with logged(shown, open_loggers(["none"], tmp_path)) as report:
        assert report is shown
    foresight("prepare", "shapes", "--limit", 5, "--out", tmp_path / "shards")
    wrong = ["extract", tmp_path / "shards", *MODEL, "--out", tmp_path / "cache", "--logger"]
    assert "unknown logger 'cvs'; did you mean 'csv'?" in said(*wrong, "cvs", status=2)
    for name in ("tensorboard", "wandb"):
        if find_spec(name) is None:
            assert f"pip install 'foresight-cache[{name}]'" in said(*wrong, name, status=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shards"]
