"""The `foresight` command: errors become one sentence and an exit status, signals become a clean stop."""

import errno
import signal
import sys
import warnings
from importlib.metadata import version
from types import FrameType
from typing import Annotated, TextIO

import typer
from typer.main import get_command

from foresight_cache.errors import ForesightError, ForesightWarning
from foresight_cache.runtime.interruption import STOP_SIGNALS
from pipelines.commands import (
    adapter,
    answers,
    bench,
    calibrate,
    compare,
    data_curve,
    datasets,
    demo,
    discrepancy,
    extract,
    heads,
    inspect,
    judge,
    lens,
    measure,
    merge_tokens,
    models,
    plan,
    prepare,
    pull,
    push,
    recode,
    repair,
    report,
    runs,
    similarity,
    study,
    tasks,
    train_probe,
    verify,
)
from pipelines.output import flush, tolerate_closed_pipes
from pipelines.repeated_options import require_once

app = typer.Typer(
    name="foresight",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Extract a frozen vision-language model's features once into a sharded Zarr cache, "
        "then train probes from it.\n\n"
        "The usual order: prepare, plan, extract, verify, train-probe, report. 'foresight demo' does all of it on "
        "synthetic scenes with a tiny model.\n\n"
        "Exit status: 0 done; 1 the work failed or found something wrong; 2 wrong usage; 75 interrupted, run it again."
    ),
)
for name, module in {
    "demo": demo,
    "prepare": prepare,
    "plan": plan,
    "extract": extract,
    "inspect": inspect,
    "verify": verify,
    "pull": pull,
    "push": push,
    "repair": repair,
    "recode": recode,
    "merge-tokens": merge_tokens,
    "train-probe": train_probe,
    "similarity": similarity,
    "measure": measure,
    "runs": runs,
    "report": report,
    "study": study,
    "compare": compare,
    "data-curve": data_curve,
    "answers": answers,
    "judge": judge,
    "calibrate": calibrate,
    "discrepancy": discrepancy,
    "bench": bench,
}.items():
    app.command(name)(module.run)
app.add_typer(adapter.app, name="adapter")
app.add_typer(lens.app, name="lens")
app.add_typer(models.app, name="models")
app.add_typer(tasks.app, name="tasks")
app.add_typer(heads.app, name="heads")
app.add_typer(datasets.app, name="datasets")

_WRONG_USAGE, _INTERRUPTED = 2, 75
_show_as_python_does = warnings.showwarning
_KEYBOARD_INTERRUPT = 130
"""Exit status that typer gives an interrupted command."""


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"foresight {version('foresight-cache')}")
        raise typer.Exit


@app.callback()
def _program(
    show: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, show_default="off", help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Options of the program itself; its help is that of `app`."""


def main() -> None:
    """Entry point of the console script."""
    for number in STOP_SIGNALS:
        signal.signal(number, _terminate)
    tolerate_closed_pipes()
    warnings.showwarning = _show_warning
    status = run(sys.argv[1:])
    try:
        flush()
    except OSError as error:
        status = _say(f"cannot write what was found to standard output: {error.strerror or error}", 1)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit status; an empty one shows the help and is wrong usage."""
    try:
        program = get_command(app)
        require_once(program, arguments)
        status = program.main(arguments or ["--help"], prog_name="foresight", standalone_mode=False, obj=arguments)
    except SystemExit as stop:  # completion and its installation
        return stop.code if isinstance(stop.code, int) else 0
    except typer.TyperException as error:
        return _say(_usage(error), error.exit_code)
    except ForesightError as error:
        return _say(str(error), error.exit_status)
    except OSError as error:
        return _say(_explain(error), 1)
    if status == _KEYBOARD_INTERRUPT:
        return _say("interrupted; what is finished is kept, the same command goes on from there", _INTERRUPTED)
    return (status or 0) if arguments else _WRONG_USAGE


def _usage(error: typer.TyperException) -> str:
    """Returns what is wrong with a command line in one sentence, with the command whose help says more."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "foresight"
    text = " ".join(error.format_message().split()).rstrip(".")
    for typers, ours in {"Value error, ": "", ". Did you": "; did you"}.items():
        text = text.replace(typers, ours)
    return f"{text} (see '{command} --help')"


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows a sentence of ours as errors are shown, and any other warning as Python does."""
    if issubclass(category, ForesightWarning):
        _say(str(message), 0)
    else:
        _show_as_python_does(message, category, filename, lineno, file, line)


def _say(sentence: str, status: int) -> int:
    print(f"foresight: {sentence}", file=sys.stderr)
    return status


def _explain(error: OSError) -> str:
    """Returns the sentence for an error of the system: what went wrong with a file, and what to do."""
    place = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({place}); free some space and run the same command again, it goes on from there"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write or read {place}; change its permissions or name another place"
    if error.errno == errno.ENOENT:
        return f"{place} does not exist or has vanished; check the path and run the same command again"
    return f"{error.strerror or error} ({place}); what is finished is kept, run the same command again"
