"""The script with which SLURM runs a command of the command line in an array of jobs."""

import shlex
from collections.abc import Sequence
from importlib.resources import files

import jinja2

MOST_TASKS = 8
"""Tasks of an array unless there are fewer shards; a user edits it."""
_OWN_FLAG = "--print-sbatch"


def sbatch_script(words: Sequence[str], *, tasks: int) -> str:
    """Returns the script.

    Args:
        words: Words of the command line behind `foresight`, `--print-sbatch` among them.
        tasks: Number of tasks of the array that would find work.
    """
    template = files("pipelines.launchers").joinpath("templates/slurm.sbatch.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML
    )
    command = shlex.join(["foresight", *(word for word in words if word != _OWN_FLAG)])
    return environment.from_string(template).render(command=command, last_task=min(tasks, MOST_TASKS) - 1)
