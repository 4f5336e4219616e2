"""Where the numbers of a page come from: the files of runs, and the commands that make them."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.options import EXECUTION_FIELDS, TrainingOptions
from foresight_probes.results.result import Result, result_path

_WORDS = {
    **{"learning_rate": "--lr", "weight_decay": "--weight-decay", "epochs": "--epochs", "batch_size": "--batch-size"},
    **{"patience": "--patience", "folds": "--folds", "refits": "--refits", "column": "--column"},
}
"""Options of training that the command line has."""


@dataclass(frozen=True, slots=True)
class RunLinks:
    """Links from a page to the files of runs."""

    out: Path
    """Folder of the page."""
    stored: Mapping[str, Result] = field(default_factory=dict)
    """Results with their files, by identity, for those that have other scores in the place of the file."""

    def to(self, result: Result, control: str = "") -> str:
        """Returns the address of a run's file, or of the run of a control beside it; empty where there is no file."""
        result = self._with_file(result)
        runs = runs_of(result)
        if runs is None:
            return ""
        path = result_path(runs, task=result.task, point=result.point, run=result.run, control=control)
        if control and not path.exists():  # of controls that are the same for all points there is one run for all
            others = list(path.parents[1].glob(f"*/{path.name}"))
            if len(others) != 1:
                return ""
            path = others[0]
        return quote(os.path.relpath(path, self.out).replace(os.sep, "/"))

    def commands(self, results: Iterable[Result]) -> str:
        """Returns the commands that make some results, one for those of a task and a folder."""
        together: dict[tuple[str, Path | None], list[Result]] = {}
        for result in map(self._with_file, results):
            together.setdefault((result.task, runs_of(result)), []).append(result)
        return "; ".join(map(train_command, together.values()))

    def _with_file(self, result: Result) -> Result:
        return self.stored.get(result.identity, result) if runs_of(result) is None else result


def runs_of(result: Result) -> Path | None:
    """Returns the folder of runs that a result was read from; None where it was read from none."""
    source = result.scores_source
    return source.parents[2] if isinstance(source, Path) else None


def train_command(results: Sequence[Result]) -> str:
    """Returns the command that makes some results of a task, of one folder and with the same options but for grids.

    Options that a file alone can give stand behind it as words.
    """
    own = [result for result in results if result.point != MEAN_PREDICTOR] or list(results)
    first = own[0]
    words = ["foresight", "train-probe", str(first.cache.get("path") or "CACHE"), "--task", first.task]
    if first.point != MEAN_PREDICTOR:
        words += ["--points", _list(result.point for result in own), "--heads", _list(result.head for result in own)]
    words += ["--seeds", _list(str(result.seed) for result in own)]
    for name, word in _WORDS.items():
        values = dict.fromkeys(str(result.options[name]) for result in own if _is_set(result, name))
        words += [word, ",".join(values)] if values else []
    words += [] if any(result.controls.keys() - {MEAN_PREDICTOR} for result in own) else ["--no-controls"]
    words += ["--twin", "TWIN"] if "twin" in first.cache else []
    in_file = {name: first.options[name] for name in first.options if name not in _WORDS and _is_set(first, name)}
    words += ["--config", "OPTIONS.yaml"] if in_file else []
    words += ["--out", str(runs_of(first) or "RUNS")]
    behind = "; ".join(f"{name}: {_yaml(value)}" for name, value in in_file.items())
    return shlex.join(words) + (f"  # OPTIONS.yaml has {behind}" if behind else "")


def anchor(*names: str) -> str:
    """Returns the name of a place in a page.

    >>> anchor("runs", "Boxes of clips")
    'runs-boxes-of-clips'
    """
    return re.sub(r"[^a-z0-9]+", "-", " ".join(names).lower()).strip("-")


def _list(values: Any) -> str:
    return ",".join(dict.fromkeys(values))


def _is_set(result: Result, name: str) -> bool:
    """Tells whether an option of a result is not the default."""
    if name in EXECUTION_FIELDS or name not in result.options:
        return False
    value, usual = result.options[name], TrainingOptions().to_json().get(name)
    return bool(value != usual)


def _yaml(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
