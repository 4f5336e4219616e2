"""Reads the categories of COCO files, and compares those of files that must number them alike."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.coco_ids import plain_id
from foresight_cache.errors import DatasetError
from foresight_cache.records import is_text, shown

Categories = Mapping[int, str]
"""Names of categories by id."""


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
