"""What a job without a terminal writes into its log while it works."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest

from foresight_cache.runtime.progress import StageTimes
from pipelines import progress_lines
from pipelines.progress_bar import ProgressBar, progress
from pipelines.progress_lines import ProgressLines
from tests.support.command import foresight

FIRST, LONGEST = progress_lines.FIRST, progress_lines.LONGEST
LINE = re.compile(
    r"[a-z-]+: ([\d,]+( of [\d,]+)? [a-z]+( after| in)?( (\d+) (s|min|h))*|(at work for|done in) \d+ s)"
    r"(, [\d,.]+ [a-z]+/(s|min))?(, [\d,.]+ MB/s)?(, (\d+ (d|h|min|s) ?)+ left)?( \([a-z0-9 ,%]+\))?"
)


@contextmanager
def watched() -> Iterator[StringIO]:
    """What stderr gets where lines come a hundred times as fast."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(StringIO()) as stream:
        patch.setattr(progress_lines, "FIRST", 0.03)
        patch.setattr(progress_lines, "LONGEST", 0.6)
        yield stream


def test_lines_come_early_and_then_ever_more_rarely_and_tell_what_is_left() -> None:
    with watched() as log, progress("extract", 100) as report:
        for _ in range(10):
            report(8, 10_000_000)
            time.sleep(0.05)
        while_at_work = log.getvalue().splitlines()
    *lines, last = log.getvalue().splitlines()
    assert lines == while_at_work
    assert 3 <= len(lines) <= 6, "after 0.03, 0.06, 0.12, 0.24 and 0.48 seconds, if the machine is not too busy"
    assert re.fullmatch(r"extract: 8 of 100 samples, [\d,.]+ samples/s, [\d,.]+ MB/s, \d+ s left", lines[0])
    assert re.fullmatch(r"extract: 80 of 100 samples in \d s, [\d,.]+ samples/s, [\d,.]+ MB/s", last)


def test_one_line_a_minute_and_the_first_after_seconds() -> None:
    """The moments of an hour, as the waits of the thread are added up."""
    moments, now = [], 0.0
    while now < 3600:
        now += min(LONGEST, max(FIRST, now))
        moments.append(now)
    assert moments[0] <= 5
    assert max(after - before for before, after in pairwise(moments)) == 60
    assert len(moments) < 70


def test_it_speaks_where_nothing_is_finished_for_long() -> None:
    times = StageTimes()
    with watched() as log, progress("extract", 5, times=times) as report:
        time.sleep(0.2)
        assert re.match(r"extract: 0 of 5 samples after 0 s\n", log.getvalue())
        times.seconds |= {"input": 1.0, "model": 3.0}
        time.sleep(0.3)
        report(5, 0)
    assert "(input 25 %, model 75 %)" in log.getvalue()


def test_the_end_may_become_known_later_or_never() -> None:
    with watched() as log, progress("prepare", None) as report:
        time.sleep(0.05)
        report(3, 0)
        time.sleep(0.1)
        report.expect(30)
        time.sleep(0.3)
    lines = log.getvalue().splitlines()
    assert lines[0] == "prepare: at work for 0 s"
    assert any(re.fullmatch(r"prepare: 3 samples, [\d,.]+ samples/s", line) for line in lines)
    assert re.match(r"prepare: 3 of 30 samples, .* left$", lines[-2])


def test_short_work_and_what_fails_say_no_more_than_they_must() -> None:
    with watched() as log, progress("extract", 5) as report:
        report(5, 0)
    assert log.getvalue() == ""
    with pytest.raises(ZeroDivisionError), watched() as log, progress("extract", 5):
        time.sleep(0.05)
        raise ZeroDivisionError
    assert " in " not in log.getvalue(), "no last line as of work that is done"


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress("extract", 5), ProgressLines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = progress("extract", 5)
    assert isinstance(bar, ProgressBar)
    with bar:
        bar(2, 10)
        bar.expect(7)
        (task,) = bar._bar.tasks
        assert (task.completed, task.total) == (2, 7)


def test_every_long_command_writes_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_lines, "FIRST", 0.001)
    words = {
        "prepare": ["shapes", "--limit", 24, "--samples-per-shard", 8, "--out", tmp_path / "S"],
        "extract": [
            tmp_path / "S",
            "--model",
            "tiny:qwen2_5_vl",
            "--points",
            "E4",
            "--size",
            112,
            "--out",
            tmp_path / "C",
        ],
        "train-probe": [tmp_path / "C", "--task", "counting", "--heads", "ridge", "--out", tmp_path / "R"],
    }
    for command, arguments in words.items():
        run = foresight(command, *arguments)
        assert run.returncode == 0, run.stderr
        lines = [line for line in run.stderr.splitlines() if line.startswith(f"{command}: ")]
        assert len(lines) >= 2, run.stderr
        assert all(LINE.fullmatch(line) for line in lines), lines
        assert not set(run.stderr) & set(map(chr, [*range(10), *range(11, 32), 127])), "no control characters"
        if command != "train-probe":
            assert re.match(rf"{command}: 24 of 24 samples in ", lines[-1]), "the last line says the whole"


def test_an_extraction_that_goes_on_counts_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_lines, "FIRST", 0.001)
    foresight("prepare", "shapes", "--limit", 12, "--samples-per-shard", 4, "--out", tmp_path / "S")
    words = [
        "extract",
        tmp_path / "S",
        "--model",
        "tiny:dinov2",
        "--points",
        "E1",
        "--size",
        28,
        "--out",
        tmp_path / "C",
    ]
    assert "extract: 12 of 12 samples in " in foresight(*words).stderr
    (tmp_path / "C/samples/000001.json").unlink()
    assert "extract: 4 of 4 samples in " in foresight(*words).stderr
