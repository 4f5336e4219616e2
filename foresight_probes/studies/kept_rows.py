"""Rows of tables that take minutes to make, kept beside a run, so that a finished study is reported again at once."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.hallucination.questions import Questions
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.parts import Value

Rows = tuple[tuple[Value, ...], ...]


def kept_rows(path: Path, key: str, make: Callable[[], Rows]) -> Rows:
    """Returns rows from a file of JSON lines where its first line is this key, else makes and writes them.

    Raises `ProbeError` where the file cannot be written, and what `make` raises.
    """
    try:
        first, *lines = map(json.loads, path.read_bytes().splitlines())
        if first == key:
            return tuple(tuple(map(_value, line)) for line in lines)
    except (OSError, ValueError, TypeError):
        pass  # it is not there, or damaged, and made anew
    rows = make()
    content = [key, *([asdict(cell) if isinstance(cell, Interval) else cell for cell in row] for row in rows)]
    try:
        write_file(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in content).encode())
    except OSError as error:
        raise ProbeError(f"cannot write {path}: {error.strerror or error}") from error
    return rows


def key_of(vectors_ND: np.ndarray, questions: Questions, *others: str) -> str:
    """Returns the SHA-256 of all that numbers of vectors and questions depend on, and of other texts."""
    total = hashlib.sha256(np.ascontiguousarray(vectors_ND).tobytes())
    total.update(questions.labels_N.tobytes())
    columns: Sequence[Sequence[str]] = (questions.images, questions.categories, questions.sources, others)
    total.update(json.dumps([list(column) for column in columns]).encode())
    return total.hexdigest()


def _value(cell: Any) -> Value:
    return Interval(**cell) if isinstance(cell, dict) else cell
