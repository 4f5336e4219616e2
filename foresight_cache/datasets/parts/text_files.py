"""Reads text and JSON files of a dataset as a whole; what cannot be read is an error of the dataset."""

import json
from pathlib import Path
from typing import Any

from foresight_cache.errors import DatasetError


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a UTF-8 text file. Raises `DatasetError`."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text (byte {error.start}); get the file again") from None


def read_json(path: Path) -> Any:
    """Returns the value of a JSON file. Raises `DatasetError`."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}; get the annotation file again") from None
