"""The result of a run, from which all reports are made: `RUNS/<task>/<point>/<run>.json`.

Beside it lie the scores of each test sample, `<run>.parquet` (`scores`), so that tests between runs need no training,
and the weights, `<run>.safetensors` (`checkpoints`). The JSON is written last: a run is finished once it is there.
"""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.results.control_values import ControlValue
from foresight_probes.results.record_checks import require_sound
from foresight_probes.results.scores import SampleScore, from_parquet, require_parquet, to_parquet
from foresight_probes.statistics.groups import fewest
from foresight_probes.statistics.interval import Interval

FORMAT = "foresight-probe-result"
VERSION = 5
CONTROLS = "controls"
"""Folder, among the results, of those of controls, with a folder for each that is laid out as this one."""
_IN_FILES = {"point_index": "order", "runs_in_pass": "company"}
"""Names in files of this version, of fields that have other names here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One head on one point for one task, from one seed."""

    identity: str
    """SHA-256 of all that the result depends on: run, cache, split and recipe."""
    task: str
    point: str
    head: str
    seed: int
    run: str
    """Name of the file: the head, its values in a grid, the seed."""
    point_index: int
    """Index of the point in the order of computation; -1 where it is not a point of the model."""
    primary: str
    """Name of the metric that selected the epoch and is drawn over points."""
    metrics: Mapping[str, Interval]
    """Metrics on the test split, with confidence intervals."""
    breakdown: Mapping[str, Mapping[str, float]]
    """Metrics of parts of the test split, by the part's name."""
    validation: Mapping[str, Any]
    """`value` of the primary metric on the validation split at the `epoch` that was selected (0 is what was solved,
    before any training), and what else was chosen there: the `strength` of a closed form; `inputs` and `neighbours` of
    nearest ones; `inputs`, `learning_rate` and `weight_decay` of a trained head, and whether it has `converged`."""
    not_measured: Mapping[str, str]
    """Metrics of the task that are missing, with the reason."""
    chance: Mapping[str, float]
    """Metrics of the mean predictor on the same test split."""
    options: Mapping[str, Any]
    """The training options, with the run's own values where it is one of a grid."""
    learning_rate: float
    """Peak step size that was used: that of the options, or else the head's own; 0 of a closed form."""
    split: Mapping[str, Any]
    """`digest`, samples on each side (`train`, `validation`, `test`) and those without a target (`left_out`), and the
    groups of the test samples: their number (`groups`), and how many of equal size would tell as much
    (`effective_groups`)."""
    cache: Mapping[str, Any]
    """`digest` of the fingerprint, `data` (digest of the tars), `path`, the fingerprint's `model` and the rest of it
    (`fingerprint`), the `dataset` and its `media`, the last three of which older results do not say. With the control
    of a twin also that one's digests."""
    width: int
    """Channels of the features."""
    parameters: int
    """Trained numbers of the head: of a linear one its whole map, solved or not, of another neither the closed form
    that it corrects nor the map to its inputs; 0 where the best constant answer stands for it. Of the mean predictor
    the numbers of its answer."""
    versions: Mapping[str, str]
    wall_seconds: float
    """Time that the point took, all heads of `runs_in_pass` together."""
    runs_in_pass: int
    """Heads that were trained in the same pass."""
    bytes_read: int
    """Bytes of features that the point's pass, or passes, read from the cache, for all of `runs_in_pass` together."""
    scores_source: tuple[SampleScore, ...] | Path
    """Scores of the test samples, or the file that holds it: a study has thousands of runs on thousands of samples."""
    control: str = ""
    """Name of the control that changed its targets or its features; empty where none did."""
    refits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Metrics of the heads that were found again, each without one part of the groups that train and select; empty
    where none was, and where intervals are those of the head as it is."""
    controls: Mapping[str, ControlValue] = field(default_factory=dict)
    """Numbers of the controls that stand beside it, by name."""
    trained_now: bool = False
    """True where this call trained it, rather than found it finished; not stored."""

    @property
    def scores(self) -> tuple[SampleScore, ...]:
        """Scores of each test sample, read anew where they are in a file. Raises `ProbeError` for a damaged one."""
        return from_parquet(self.scores_source) if isinstance(self.scores_source, Path) else self.scores_source

    @property
    def value(self) -> Interval:
        """Primary metric with its interval."""
        return self.metrics[self.primary]

    @property
    def doubt(self) -> str:
        """The controls above which the number does not lie, in words; empty where there are none.

        Such a number says nothing of the features, and is struck through where it is shown.
        """
        failing = [f"{name} ({value.interval.value:.3f})" for name, value in self.controls.items() if value.fails]
        return f"not above {', '.join(failing)}" if failing else ""

    @property
    def too_few(self) -> str:
        """Why its interval carries no verdict, in words; empty where there are enough groups of test samples."""
        effective, needed = self.split["effective_groups"], fewest(self.primary)
        short = f"undecided, too few groups: {effective:.0f}, needs about {needed:.0f}"
        return short if effective < needed else ""

    def __str__(self) -> str:
        """One line for a terminal."""
        name = f"{self.task:8} {self.point:16} {self.run.removesuffix(f'-seed{self.seed}'):14} seed {self.seed}"
        chance = self.chance.get(self.primary)
        return (
            f"{name}  {self.primary} {format_interval(self.value)}"
            + ("" if chance is None else f", chance {chance:.3f}")
            + (f", {self.doubt}" if self.doubt else "")
            + f", n {self.split['test']}"
            + (f", {self.too_few}" if self.too_few else "")
        )

    def to_json(self) -> dict[str, Any]:
        apart = {"trained_now", "scores_source"}  # scores lie in a file of their own
        body = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in apart}
        body["metrics"] = {name: dataclasses.asdict(interval) for name, interval in self.metrics.items()}
        body["controls"] = {name: value.to_json() for name, value in self.controls.items()}
        if not self.refits:
            del body["refits"]
        return {
            "format": FORMAT,
            "version": VERSION,
            **{_IN_FILES.get(name, name): value for name, value in body.items()},
        }


def format_interval(interval: Interval) -> str:
    """Returns the value with its interval in brackets, to three decimals.

    >>> format_interval(Interval(0.34567, 0.28, 0.4))
    '0.346 (0.280–0.400)'
    """
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def result_path(runs: Path, *, task: str, point: str, run: str, control: str = "") -> Path:
    """Returns the path of a result in a folder of runs; those of a control lie in a folder of their own there.

    >>> result_path(Path("runs"), task="boxes", point="llm.layer_01", run="mlp-seed0", control="shuffled").as_posix()
    'runs/controls/shuffled/boxes/llm.layer_01/mlp-seed0.json'
    """
    folder = runs / CONTROLS / control if control else runs
    return folder / task / point / f"{run}.json"


def identity(parts: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the JSON with sorted keys, spaces and ASCII letters.

    Its spelling is not that of `records.canonical_json`, and stays: stored results would be taken for others.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def save_result(result: Result, runs: Path, checkpoint: bytes | None = None) -> Path:
    """Writes a result, each file whole or not at all, and returns the path of its JSON.

    Raises `ProbeError` where the folder cannot be written.
    """
    path, text = _path(result, runs), _text(result)
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path.with_suffix(".parquet"), to_parquet(result.scores))
        if checkpoint is not None:
            write_file(path.with_suffix(".safetensors"), checkpoint)
        write_file(path, text)
    return path


def rewrite_result(result: Result, runs: Path) -> None:
    """Writes the JSON of a stored result anew, whole or not at all.

    Raises `ProbeError` where the folder cannot be written.
    """
    text = _text(result)
    with _write_errors(_path(result, runs)) as path:
        write_file(path, text)


def _path(result: Result, runs: Path) -> Path:
    return result_path(runs, task=result.task, point=result.point, run=result.run, control=result.control)


def _text(result: Result) -> bytes:
    return (json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()


@contextmanager
def _write_errors(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        raise ProbeError(f"cannot write the result {path}: {error.strerror or error}") from error


def load_result(path: Path, *, of_fold: bool = False) -> Result:
    """Reads a result; that of a fold need not have its primary metric.

    Raises `ProbeError` for a file that is damaged, foreign or of another version.
    """
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise ProbeError(f"cannot read the result {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ProbeError(f"{path} is damaged, it is not JSON ({error}); remove it and train that run again") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ProbeError(f"{path} is not a probe result; a folder of runs holds nothing else, so move it away")
    if record.get("version") != VERSION:
        raise ProbeError(
            f"{path} is a probe result of version {record.get('version')!r}, expected {VERSION}; "
            "read it with the version that wrote it, or train again with another --out"
        )
    try:
        return _from_json(record, path, of_fold=of_fold)
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeError(f"{path} is damaged ({error}); remove it and train that run again") from error


def summary_row(result: Result) -> dict[str, Any]:
    """Returns what a table shows of a result: plain numbers and texts by column, every metric by its name."""
    value = result.value
    return {
        **{"task": result.task, "point": result.point, "run": result.run, "head": result.head, "seed": result.seed},
        **{"metric": result.primary, "value": value.value, "low": value.low, "high": value.high},
        **{"chance": result.chance.get(result.primary), "validation": result.validation["value"]},
        "epoch": int(result.validation["epoch"]),
        "strength": result.validation.get("strength"),
        "neighbours": result.validation.get("neighbours"),
        "learning_rate": result.learning_rate,
        "weight_decay": result.options.get("weight_decay"),
        **{"n": result.split["test"], "groups": result.split["groups"], "too_few": result.too_few or None},
        **{"parameters": result.parameters, "width": result.width, "company": result.runs_in_pass},
        **{"wall_seconds": result.wall_seconds, "bytes_read": result.bytes_read},
        **dict.fromkeys(result.not_measured),
        **{name: interval.value for name, interval in result.metrics.items()},
        "doubt": result.doubt or None,
        "selectivity": _selectivity(result),
        **{name: value.interval.value for name, value in result.controls.items()},
    }


def _selectivity(result: Result) -> float | None:
    """Returns the metric less that of control labels, None where there are none."""
    control = result.controls.get("control-labels")
    return control.difference.value if control and control.difference else None


def best_of_grids(results: Iterable[Result]) -> list[Result]:
    """Returns the best on validation among runs that differ in their values of a grid alone; keeps their order."""
    best: dict[tuple[str, str, str, int], Result] = {}
    for result in results:
        key = (result.task, result.point, result.head, result.seed)
        if key not in best or result.validation["value"] > best[key].validation["value"]:
            best[key] = result
    return list(best.values())


def in_order(results: Iterable[Result]) -> list[Result]:
    """Returns results by task, then in the order of computation, then by head and seed."""
    return sorted(results, key=lambda r: (r.task, r.point_index, r.point, r.head, r.seed, r.run))


def load_results(runs: Path, *, remark: Callable[[str], None] = warnings.warn) -> list[Result]:
    """Returns all results under a folder, by task, then in the order of computation, then by head and seed.

    Hidden files and folders are passed over. A file that is named otherwise than its run, such as a copy that a program
    made, is left out with a `remark`. Raises `ProbeError` where there is no result, or one cannot be read.
    """
    paths = [path for path in sorted(runs.glob("*/*/*.json")) if not _is_hidden(path.relative_to(runs))]
    results = []
    for path in paths:
        result = load_result(path)
        own = result_path(runs, task=result.task, point=result.point, run=result.run)
        if path == own:
            results.append(result)
        else:
            remark(
                f"{path} is left out: it holds {result.run} for {result.task} on {result.point}, whose file is {own}"
            )
    if not results:
        raise ProbeError(f"{runs} holds no probe results; make some with 'foresight train-probe'")
    return in_order(results)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


_AS_THEY_ARE = (
    *("identity", "task", "point", "head", "seed", "run", "point_index", "primary", "breakdown", "validation"),
    *("not_measured", "chance", "options", "learning_rate", "split", "cache", "width", "parameters", "versions"),
    *("wall_seconds", "runs_in_pass", "bytes_read", "control"),
)
_ENDS = ("value", "low", "high")


def _from_json(record: Mapping[str, Any], path: Path, *, of_fold: bool) -> Result:
    result, scores = of_record(record, of_fold=of_fold), path.with_suffix(".parquet")
    require_parquet(scores)
    return dataclasses.replace(result, scores_source=scores)


def of_record(record: Mapping[str, Any], *, of_fold: bool = False) -> Result:
    """Returns the result of a record as `Result.to_json` makes it, without scores.

    Raises `KeyError`, `TypeError` or `ValueError` for one that is not sound.
    """
    record = {"refits": {}, **record}
    require_sound(record, of_fold=of_fold)
    metrics = {name: Interval(*(float(interval[end]) for end in _ENDS)) for name, interval in record["metrics"].items()}
    return Result(
        **{name: record[_IN_FILES.get(name, name)] for name in _AS_THEY_ARE},
        metrics=metrics,
        refits={name: tuple(map(float, values)) for name, values in record["refits"].items()},
        controls={name: ControlValue.from_json(value) for name, value in record["controls"].items()},
        scores_source=(),
    )
