"""`foresight inspect --watch` as a user runs it beside an extraction."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import planted
from tests.support.command import FORESIGHT, said


@pytest.fixture
def unfinished(tmp_path: Path) -> tuple[Path, bytes]:
    """A cache of three shards without the commit of the last, and that commit."""
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    commit = tmp_path / "C/samples/000002.json"
    record = commit.read_bytes()
    commit.unlink()
    return tmp_path / "C", record


def watching(cache: Path, *more: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    words = [FORESIGHT, "inspect", str(cache), "--watch", "--every", "0.1", *more]
    return subprocess.Popen(words, stdout=stdout, stderr=subprocess.PIPE, text=True)


def test_it_ends_when_the_cache_is_complete(unfinished: tuple[Path, bytes]) -> None:
    cache, record = unfinished
    process = watching(cache, "--json")
    assert process.stdout
    first = json.loads(process.stdout.readline())
    assert (first["shards_done"], first["samples_done"], first["complete"]) == (2, 8, False)
    (cache / "samples/000002.json").write_bytes(record)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    last = json.loads(rest.splitlines()[-1])
    assert (last["shards_done"], last["samples_done"], last["complete"], last["seconds_left"]) == (3, 10, True, 0)


def test_it_is_interrupted_as_all_commands_are(unfinished: tuple[Path, bytes]) -> None:
    process = watching(unfinished[0])
    assert process.stdout
    assert process.stdout.readline().startswith("2 of 3 shards, 8 of 10 samples, ")
    process.send_signal(signal.SIGTERM)  # a shell without job control has SIGINT ignored
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in errors


def test_a_terminal_is_refreshed_in_place(unfinished: tuple[Path, bytes]) -> None:
    """What is shown stays on its line: the terminal is told to erase it."""
    cache, record = unfinished
    ours, theirs = pty.openpty()
    process = watching(cache, stdout=theirs)
    shown = os.read(ours, 10_000)
    (cache / "samples/000002.json").write_bytes(record)
    assert process.wait(timeout=60) == 0
    shown += os.read(ours, 100_000)
    os.close(theirs)
    os.close(ours)
    assert b"complete" in shown
    assert b"\x1b[2K" in shown


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--watch", "--bad"), "--watch counts bad samples and --bad lists them"),
        (("--every", "2"), "--every is for --watch"),
        (("--watch", "--every", "nan"), "--every is nan, expected a number of seconds above 0"),
    ],
)
def test_wrong_usage(unfinished: tuple[Path, bytes], more: tuple[str, ...], sentence: str) -> None:
    assert sentence in said("inspect", unfinished[0], *more, status=2)


def test_no_cache_yet(tmp_path: Path) -> None:
    text = said("inspect", tmp_path / "C", "--watch", status=1)
    assert "holds no cache yet" in text
    assert len(text.splitlines()) == 1
