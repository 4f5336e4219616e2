"""The `foresight` command: errors become one sentence and an exit status, signals become a clean stop."""

import errno
import signal
import sys
from types import FrameType

import typer
from typer.main import get_command

from foresight_cache.errors import ForesightError
from pipelines.commands import bench, demo, extract, inspect, plan, prepare, report, runs, train_probe, verify

app = typer.Typer(
    name="foresight",
    no_args_is_help=True,
    add_completion=False,
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
    "train-probe": train_probe,
    "runs": runs,
    "report": report,
    "bench": bench,
}.items():
    app.command(name)(module.run)

_INTERRUPTED = 75


def main() -> None:
    """Entry point of the console script."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit status."""
    try:
        get_command(app)(arguments, prog_name="foresight", standalone_mode=True)
    except SystemExit as stop:
        return _status_of(stop)
    except ForesightError as error:
        return _say(str(error), error.exit_status)
    except OSError as error:
        return _say(_explain(error), 1)
    return 0


def _status_of(stop: SystemExit) -> int:
    """Click ends an interrupted command as aborted, which is not the same as failed."""
    if isinstance(stop.__context__, KeyboardInterrupt) or isinstance(
        getattr(stop.__context__, "__cause__", None), KeyboardInterrupt
    ):
        return _say("interrupted; what is finished is kept, the same command goes on from there", _INTERRUPTED)
    return stop.code if isinstance(stop.code, int) else 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(sentence: str, status: int) -> int:
    print(f"foresight: {sentence}", file=sys.stderr)
    return status


def _explain(error: OSError) -> str:
    """What went wrong with a file, and what to do."""
    place = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({place}); free some space and run the same command again, it goes on from there"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write or read {place}; change its permissions or name another place"
    if error.errno == errno.ENOENT:
        return f"{place} does not exist or has vanished; check the path and run the same command again"
    return f"{error.strerror or error} ({place}); what is finished is kept, run the same command again"
