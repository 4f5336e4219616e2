"""Reads text, JSON and tables of a dataset; what cannot be read as a whole is an error of the dataset."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.errors import BadSample, DatasetError


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a UTF-8 text file. Raises `DatasetError`."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text (byte {error.start}); get the file again") from None


def read_json(path: Path, *, unique_keys: bool = False) -> Any:
    """Returns the value of a JSON file. Raises `DatasetError`, with `unique_keys` for a key that is there twice too."""
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_unique if unique_keys else None)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}; get the annotation file again") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object of JSON; of two values under one key, `json` keeps the last in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!a} is there twice")
    return found


def read_heading(path: Path) -> list[str]:
    """Returns the names of the columns of comma-separated text; none where it is empty. Raises `DatasetError`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a table of comma-separated text: {error}; get it again") from None
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}; expected a table of comma-separated text"
        ) from None


def read_table(path: Path, required: Sequence[str]) -> Iterator[Mapping[str, str] | BadSample]:
    """Yields the rows of comma-separated text by heading; in place of a row of another length, the error to report.

    A comma that was not quoted moves all that comes after it to the next column, where it is read as something else.
    Raises `DatasetError` where the file is no such table or lacks a required column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            heading = next(rows, [])
            missing = [column for column in required if column not in heading]
            if missing:
                raise DatasetError(f"{path} has no column {missing[0]!r}; expected {', '.join(required)}")
            repeated = [column for column in required if heading.count(column) > 1]
            if repeated:
                raise DatasetError(f"{path} has several columns {repeated[0]!r}; which one is meant is unknown")
            for row in rows:
                if len(row) == len(heading):
                    yield dict(zip(heading, row, strict=True))
                elif row:  # an empty line is no row
                    yield BadSample(
                        f"its row has {len(row)} columns, the heading has {len(heading)}; quote fields that "
                        "hold a comma"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a table of comma-separated text: {error}; get it again") from None
