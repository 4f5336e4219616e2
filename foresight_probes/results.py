"""The result of a run: one JSON file, `RUNS/<task>/<point>/<head>-seed<seed>.json`, from which all reports are made."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from foresight_cache.errors import ProbeError
from foresight_probes.statistics import Interval

FORMAT = "foresight-probe-result"
VERSION = 1


class SampleScore(NamedTuple):
    """What the metrics know of one test sample."""

    id: str
    group: str
    scores: tuple[float, ...]
    """The task's numbers, such as one IoU per true object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One head on one point for one task, from one seed."""

    identity: str
    """SHA-256 of all that the result depends on: run, cache, split and recipe."""
    task: str
    point: str
    head: str
    seed: int
    order: int
    """Place of the point in the order of computation; -1 for what is no point of the model."""
    primary: str
    """Name of the metric that selected the epoch and is drawn over points."""
    metrics: Mapping[str, Interval]
    """On the test split, with confidence intervals."""
    breakdown: Mapping[str, Mapping[str, float]]
    """Metrics of parts of the test split, by the part's name."""
    validation: Mapping[str, float]
    """`value` of the primary metric on the validation split at the `epoch` (from 1) that was selected."""
    chance: Mapping[str, float]
    """Metrics of the mean predictor on the same test split."""
    options: Mapping[str, Any]
    """The training options."""
    learning_rate: float
    """Peak step size that was used: that of the options, or else the head's own."""
    split: Mapping[str, Any]
    """`digest`, samples on each side (`train`, `validation`, `test`) and those without a question (`left_out`)."""
    cache: Mapping[str, Any]
    """`digest` of the fingerprint, `data` (digest of the tars), `path`, the fingerprint's `model`, the `dataset`."""
    width: int
    """Channels of the features."""
    parameters: int
    """Trained numbers of the head."""
    versions: Mapping[str, str]
    wall_seconds: float
    """Time that the point took, all heads of `company` together."""
    company: int
    """Heads that were trained in the same pass."""
    bytes_read: int
    """Features of all epochs' training batches, as float32."""
    scores: tuple[SampleScore, ...]
    """Of each test sample."""
    fresh: bool = False
    """Whether this call trained it, rather than found it finished; not stored."""

    @property
    def value(self) -> Interval:
        """The primary metric."""
        return self.metrics[self.primary]

    def __str__(self) -> str:
        """One line for a terminal."""
        name = f"{self.task:8} {self.point:16} {self.head:14} seed {self.seed}"
        return f"{name}  {self.primary} {format_interval(self.value)}, chance {self.chance[self.primary]:.3f}"

    def to_json(self) -> dict[str, Any]:
        body = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "fresh"}
        body["metrics"] = {name: dataclasses.asdict(interval) for name, interval in self.metrics.items()}
        body["scores"] = [score._asdict() for score in self.scores]
        return {"format": FORMAT, "version": VERSION, **body}


def format_interval(interval: Interval) -> str:
    """
    >>> format_interval(Interval(0.34567, 0.28, 0.4))
    '0.346 (0.280–0.400)'
    """
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def result_path(runs: Path, *, task: str, point: str, head: str, seed: int) -> Path:
    return runs / task / point / f"{head}-seed{seed}.json"


def identity(parts: Mapping[str, Any]) -> str:
    """SHA-256 of the JSON with sorted keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def save_result(result: Result, runs: Path) -> Path:
    """Writes the file whole or not at all. Raises `ProbeError` where the folder cannot be written."""
    path = result_path(runs, task=result.task, point=result.point, head=result.head, seed=result.seed)
    text = json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False, indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode())
    except OSError as error:
        raise ProbeError(f"cannot write the result {path}: {error.strerror or error}.") from error
    return path


def load_result(path: Path) -> Result:
    """Raises `ProbeError` for a file that is damaged, foreign or of another version."""
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise ProbeError(f"cannot read the result {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise ProbeError(f"{path} is damaged, it is not JSON ({error}); remove it and train that run again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ProbeError(f"{path} is not a probe result; a folder of runs holds nothing else, so move it away.")
    if record.get("version") != VERSION:
        raise ProbeError(
            f"{path} is a probe result of version {record.get('version')!r}, expected {VERSION}; "
            "read it with the version that wrote it, or train again with another --out."
        )
    try:
        return _from_json(record)
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeError(f"{path} is damaged ({error}); remove it and train that run again.") from error


def load_results(runs: Path) -> list[Result]:
    """All results under a folder, by task, then in the order of computation, then by head and seed.

    Raises `ProbeError` where there is none, or one cannot be read.
    """
    paths = sorted(runs.glob("*/*/*.json"))
    if not paths:
        raise ProbeError(f"{runs} holds no probe results; make some with 'foresight train-probe'.")
    return sorted(map(load_result, paths), key=lambda result: (result.task, result.order, result.head, result.seed))


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("identity", "task", "point", "head", "primary"), str),
    **dict.fromkeys(("seed", "order", "width", "parameters", "company", "bytes_read"), int),
    **dict.fromkeys(("breakdown", "validation", "chance", "options", "split", "cache", "versions"), dict),
    **dict.fromkeys(("learning_rate", "wall_seconds"), (int, float)),
}


def _from_json(record: Mapping[str, Any]) -> Result:
    for name, kind in {**_KINDS, "metrics": dict, "scores": list}.items():
        if not isinstance(record.get(name), kind):
            raise TypeError(f"{name} is {record.get(name)!r}")
    metrics = {name: Interval(*(float(interval[end]) for end in _ENDS)) for name, interval in record["metrics"].items()}
    if record["primary"] not in metrics:
        raise ValueError(f"the primary metric {record['primary']!r} is missing")
    scores = tuple(SampleScore(each["id"], each["group"], tuple(each["scores"])) for each in record["scores"])
    return Result(**{name: record[name] for name in _KINDS}, metrics=metrics, scores=scores)


_ENDS = ("value", "low", "high")


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
