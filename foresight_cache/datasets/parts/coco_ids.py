"""Joins entries of COCO files by their ids, which one file may write as text and the other as numbers."""

import re
from collections.abc import Hashable, Iterable
from functools import cached_property
from typing import Any

_WHOLE = re.compile(r"-?[0-9]{1,18}")


def is_id(value: Any) -> bool:
    """Returns whether a value can be an id: a whole number or a text.

    >>> is_id(3), is_id("3f2a-b"), is_id(3.0), is_id(3.5), is_id(True), is_id(None)
    (True, True, True, False, False, False)
    """
    return type(value) in (int, str) or (type(value) is float and value.is_integer())


def plain_id(value: Any) -> int | str | None:
    """Returns an id as a number where it is one, however it is written, else as text; None for what is no id.

    >>> plain_id(42), plain_id("0042"), plain_id(42.0), plain_id("3f2a-b"), plain_id(None)
    (42, 42, 42, '3f2a-b', None)
    """
    if type(value) is int:
        return value
    if type(value) is str:
        return int(value) if _WHOLE.fullmatch(value) else value
    return int(value) if is_id(value) else None


def has_id(entry: Any) -> bool:
    """Returns whether an entry of a list has an id that others can refer to."""
    return isinstance(entry, dict) and is_id(entry.get("id"))


class KnownIds:
    """Ids of one list that entries of other lists refer to."""

    def __init__(self, ids: Iterable[Hashable]) -> None:
        self._ids = {value: value for value in ids}

    def find(self, value: Any) -> Hashable | None:
        """Returns the id that a reference means: the same one, or else the one of the same number; None without one."""
        if not is_id(value):
            return None
        found = self._ids.get(value)
        return found if found is not None else self._by_number.get(plain_id(value))

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def _by_number(self) -> dict[Hashable, Hashable]:
        """Ids by their plain form, as far as it is that of one id alone."""
        numbers: dict[Hashable, list[Hashable]] = {}
        for value in self._ids:
            numbers.setdefault(plain_id(value), []).append(value)
        return {number: values[0] for number, values in numbers.items() if len(values) == 1}
