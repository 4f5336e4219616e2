"""The result of a run: a JSON file with what it depends on and its metrics, and a table of its test samples."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.adapters.measuring import Table
from foresight_probes.statistics.interval import Interval

FORMAT, VERSION = "foresight adapter", 1
Intervals = Mapping[str, Mapping[str, Interval]]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterResult:
    """What a run came to. Equal inputs give equal files."""

    identity: str
    """Digest of `depends_on`, which decides the weights."""
    depends_on: Mapping[str, Any]
    parameters: int
    measured_by: Mapping[str, Any]
    """What decodes and compares pictures."""
    folds: tuple[Mapping[str, Any], ...]
    """Of each split: its sizes, `epoch` (0 for the mean latent), `diverged` and the `history` of validation errors."""
    samples: int
    """Test samples."""
    effective_groups: float
    metrics: Intervals
    """By `adapter`, `mean_latent`, `oracle`, `source` and `gap_to_oracle`, then by name."""
    not_measured: Mapping[str, str]
    """Reasons by the name of what is not."""
    pruning: tuple[Mapping[str, Any], ...] = ()
    """Of each share of tokens that was asked for: `share`, `tokens` of a clip, and `r2` as an interval."""

    @property
    def diverged(self) -> str:
        """In which epochs the loss was no longer finite, in words; empty where it always was."""
        epochs = [str(fold["diverged"]) for fold in self.folds if fold["diverged"]]
        return f"diverged in epoch {', '.join(epochs)}" if epochs else ""

    @property
    def constant(self) -> str:
        """In how many splits the mean latent took the adapter's place, in words; empty for none."""
        count = sum(fold["epoch"] == 0 for fold in self.folds)
        return "" if not count else "no better than the mean latent" + (f" in {count}" if len(self.folds) > 1 else "")

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a result. Raises `ProbeError` for a file that is none, or of another version."""
        try:
            record = json.loads(path.read_bytes())
            if (record.pop("format"), record.pop("version")) != (FORMAT, VERSION):
                raise ValueError(f"is no {FORMAT} of version {VERSION}")
            metrics = {
                what: {name: Interval(**ends) for name, ends in own.items()} for what, own in record["metrics"].items()
            }
            sequences = {name: tuple(record[name]) for name in ("folds", "pruning")}
            return cls(**{**record, **sequences, "metrics": metrics})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise ProbeError(f"{path} is no result of an adapter ({reason}); move it away") from error

    def write(self, path: Path, table: Table) -> None:
        """Writes the JSON and, beside it, the table. Raises `ProbeError` where it cannot."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path.with_suffix(".parquet"), _parquet(table))
            write_file(path, (json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n").encode())
        except OSError as error:
            raise ProbeError(f"cannot write {path}: {error.strerror or error}; name another --out") from error


def read_table(path: Path) -> Table:
    """Reads the table beside a result. Raises `ProbeError` where it is missing or damaged."""
    import pyarrow
    from pyarrow import parquet

    try:
        table: dict[str, list[Any]] = parquet.read_table(path.with_suffix(".parquet")).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
        raise ProbeError(f"{path.with_suffix('.parquet')} cannot be read ({error}); remove the run") from error
    return table


def _parquet(table: Table) -> bytes:
    import pyarrow
    from pyarrow import parquet

    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(dict(table)), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())
