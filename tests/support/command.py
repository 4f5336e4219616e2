"""The command line, run in this process for speed or in one of its own as a user runs it."""

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

from pipelines import cli

FORESIGHT = Path(sys.prefix) / "bin" / "foresight"


def foresight(*arguments: object) -> CompletedProcess[str]:
    """Everything but the start of a process: it returns what the command prints and its exit status."""
    words = [str(argument) for argument in arguments]
    with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()) as stderr:
        status = cli.run(words)
    return CompletedProcess(words, status, stdout.getvalue(), stderr.getvalue())


def with_options(usual: Sequence[object], more: Sequence[object]) -> list[object]:
    """Words of a command with more options, which take the place of usual ones of the same name."""
    kept, names = list(usual), {word for word in more if isinstance(word, str) and word.startswith("--")}
    for name in names & {word for word in kept if isinstance(word, str)}:
        place = kept.index(name)
        del kept[place : place + 2]
    return [*kept, *more]


def said(*arguments: object, status: int) -> str:
    """What the command says on stderr where it must fail: no traceback."""
    run = foresight(*arguments)
    assert run.returncode == status, run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr
