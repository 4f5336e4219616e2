"""The command line, run in this process for speed or in one of its own as a user runs it."""

import contextlib
import io
import sys
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


def said(*arguments: object, status: int) -> str:
    """What the command says on stderr where it must fail: no traceback."""
    run = foresight(*arguments)
    assert run.returncode == status, run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr
