"""Files of one JSON object a line, from programs and people that are not ours."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from foresight_cache.errors import AnswersError

_LONGEST = 1 << 20
"""Largest number of bytes of a line."""


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each object with where it stands, `FILE, line 3`; empty lines are passed over. Raises `AnswersError`."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    where = f"{path}, line {number}"
                    yield where, _object(line, where)
    except OSError as error:
        raise AnswersError(f"{path} cannot be read: {error.strerror}") from None


def json_lines(objects: Iterable[Mapping[str, Any]]) -> bytes:
    """Returns objects as lines, in ASCII, with sorted keys."""
    return "".join(json.dumps(each, sort_keys=True, allow_nan=False) + "\n" for each in objects).encode()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is none of its values")


def _object(line: bytes, where: str) -> dict[str, Any]:
    if len(line) > _LONGEST:
        raise AnswersError(f"{where} has {len(line):,} bytes, expected {_LONGEST:,} at most")
    try:
        value = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise AnswersError(f"{where} is no JSON ({error}); expected an object a line") from None
    if not isinstance(value, dict):
        raise AnswersError(f"{where} is a JSON {type(value).__name__}, expected an object")
    return value
