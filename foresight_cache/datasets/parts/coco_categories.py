"""Reads the categories of COCO files, and compares those of files that must number them alike."""

import json
import mmap
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.coco_ids import plain_id
from foresight_cache.errors import DatasetError
from foresight_cache.records import is_text, shown

Categories = Mapping[int, str]
"""Names of categories by id."""
_LIST = re.compile(rb'"categories"\s*:\s*(?=\[)')
_FIRST_BYTES = 1 << 20


def categories_of(entries: list[Any], path: Path) -> dict[int, str]:
    """Returns the categories that a file lists. Raises `DatasetError`."""
    categories = []
    for entry in entries:
        number = plain_id(entry.get("id")) if isinstance(entry, dict) else None
        if not (isinstance(number, int) and is_text(entry.get("name"))):
            raise DatasetError(f"{path} has a category {shown(entry)}; expected an integer 'id' and a text 'name'")
        categories.append((number, entry["name"]))
    refuse_repeats(path, "category id", (number for number, _ in categories))
    return dict(categories)


def peek_categories(path: Path) -> Categories:
    """Returns the categories of a file without reading the rest of it, which may be a thousand times as long.

    Empty where none are found: what is wrong with a file is told where it is read as a whole.
    """
    if not path.stat().st_size:
        return {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as document:
        for key in _LIST.finditer(document):
            try:
                return categories_of(_list_at(document, key.end()), path)
            except (ValueError, DatasetError):
                continue  # a list of another meaning, such as an attribute of an object
    return {}


def _list_at(document: mmap.mmap, start: int) -> list[Any]:
    """Returns the list that begins there. Raises `ValueError`."""
    length = _FIRST_BYTES
    while True:
        text = document[start : start + length].decode(errors="replace")
        try:
            return list(json.JSONDecoder().raw_decode(text)[0])
        except json.JSONDecodeError:
            if start + length >= len(document):
                raise
            length *= 8


def refuse_other_categories(first_path: Path, first: Categories, path: Path, categories: Categories) -> None:
    """Raises `DatasetError` where two files mean another category by one number, or another number by one name."""
    for number in sorted(first.keys() & categories.keys()):
        if first[number] != categories[number]:
            raise DatasetError(
                f"category {number} is {shown(first[number])} in {first_path} and {shown(categories[number])} in "
                f"{path}; number the categories alike in all files of a set"
            )
    for name, numbers in _numbers_by_name(first).items():
        others = _numbers_by_name(categories).get(name, numbers)
        if not numbers & others:
            raise DatasetError(
                f"category {shown(name)} is {min(numbers)} in {first_path} and {min(others)} in {path}; number the "
                "categories alike in all files of a set"
            )


def _numbers_by_name(categories: Categories) -> dict[str, set[int]]:
    numbers: dict[str, set[int]] = {}
    for number, name in categories.items():
        numbers.setdefault(name, set()).add(number)
    return numbers


def refuse_repeats(path: Path, kind: str, values: Iterable[Hashable]) -> None:
    """Raises `DatasetError` where a value that must differ between entries is there more than once."""
    repeated = [value for value, times in Counter(values).items() if times > 1]
    if repeated:
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        raise DatasetError(
            f"{path} uses the same {kind} more than once: {', '.join(map(shown, repeated[:5]))}{more}; "
            "which entry is meant is unknown; mend the file"
        )
