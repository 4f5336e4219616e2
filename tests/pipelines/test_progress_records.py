"""What a program reads of long work that is called with --json."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from foresight_cache.runtime.progress import StageTimes
from pipelines import progress_lines
from pipelines.progress_bar import ProgressBar, progress, speak_to_programs
from tests.support.command import foresight


@pytest.fixture(autouse=True)
def for_people_again() -> Iterator[None]:
    yield
    speak_to_programs(wanted=False)


def records(
    monkeypatch: pytest.MonkeyPatch, total: int | None, times: StageTimes | None = None
) -> list[dict[str, object]]:
    monkeypatch.setattr(progress_lines, "FIRST", 0.1)
    speak_to_programs(wanted=True)
    with redirect_stderr(StringIO()) as log, progress("extract", total, times=times) as report:
        report(30, 3_000_000)
        time.sleep(0.3)
        report(10, 1_000_000)
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_every_line_is_an_object_that_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    times = StageTimes()
    times.seconds |= {"input": 1.0, "model": 3.0}
    first, *_, last = records(monkeypatch, 120, times)
    seconds = first["seconds"]
    assert isinstance(seconds, float)
    assert (first["progress"], first["unit"], first["done"], first["total"]) == ("extract", "samples", 30, 120)
    assert first["bytes"] == 3_000_000
    assert first["per_second"] == pytest.approx(30 / seconds, rel=0.01)
    assert first["bytes_per_second"] == pytest.approx(3_000_000 / seconds, rel=0.01)
    assert first["seconds_left"] == pytest.approx(3 * seconds, abs=0.06)
    assert first["stages"] == {"input": 0.25, "model": 0.75}
    assert abs((datetime.now(UTC) - datetime.fromisoformat(str(first["time"]))).total_seconds()) < 60
    assert [first["over"], last["over"], last["done"]] == [False, True, 40]


def test_what_is_not_known_is_null_and_the_end_is_told_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(each["total"] is each["seconds_left"] is None for each in records(monkeypatch, None))
    speak_to_programs(wanted=True)
    with redirect_stderr(StringIO()) as log, progress("extract", 0):
        pass
    record = json.loads(log.getvalue())
    assert record["over"]
    assert record["seconds_left"] is None


def test_people_at_a_terminal_have_their_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    speak_to_programs(wanted=True)
    assert isinstance(progress("extract", 5), ProgressBar)


def test_a_command_with_json_speaks_json_on_both_streams(tmp_path: Path) -> None:
    done = foresight("prepare", "shapes", "--limit", 5, "--out", tmp_path / "shards", "--json")
    assert json.loads(done.stdout)["samples"] == 5
    (end,) = [record for record in map(json.loads, done.stderr.splitlines()) if record["over"]]
    assert (end["progress"], end["done"], end["total"]) == ("prepare", 5, 5)
    after = foresight("verify", "--help")
    assert not after.stderr
