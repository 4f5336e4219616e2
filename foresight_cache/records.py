"""Takes records of a cache apart, field by field, each of the kind that the format says.

A digest tells of accidents. This tells of programs that wrote something else and sealed it: what comes out of here
has the right types, names that cannot leave the cache's folder, and sizes that memory can hold.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

MOST = 2**53
"""Largest integer of a record: past it, programs that hold numbers as floats read another one."""
_POINT_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*(@[a-z_]+)?")
_LONGEST_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DEEPEST = 32

_Text = TypeVar("_Text", bound=str)


def is_point_name(name: str) -> bool:
    """Whether a point may have this name, which is that of its folder.

    >>> [name for name in ("llm.layer_01@mean", "../vit", "samples", "zarr.json") if is_point_name(name)]
    ['llm.layer_01@mean']
    """
    ours = name in ("samples", "zarr.json")
    return not ours and len(name) <= _LONGEST_NAME and _POINT_NAME.fullmatch(name) is not None


def shown(value: Any) -> str:
    """A value in a sentence: of bounded length, and in ASCII, as it may hold halves of characters."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def is_deep(value: Any) -> bool:
    """Whether containers lie deeper in each other than anything of ours.

    >>> import json
    >>> is_deep({"a": [1]}), is_deep(json.loads("[" * 40 + "]" * 40))
    (False, True)
    """
    level = [value]
    for _ in range(_DEEPEST):
        level = [each for item in level if isinstance(item, list | dict) for each in _inside(item)]
    return bool(level)


def _inside(container: list[Any] | dict[str, Any]) -> Collection[Any]:
    return container if isinstance(container, list) else container.values()


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object. Each method gives one field, or raises `ValueError` with what is wrong and where."""

    values: Mapping[str, Any]
    place: str

    @classmethod
    def of(cls, value: Any, place: str, names: Collection[str] | None = None) -> Self:
        """With `names`, exactly these fields must be there."""
        if not isinstance(value, dict):
            raise ValueError(f"{place} is {shown(value)}, expected an object")
        if names is not None and value.keys() != set(names):
            other = sorted(value.keys() ^ set(names))
            raise ValueError(f"{place} lacks or should not have {shown(other[0])}")
        return cls(value, place)

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{self.place}.{name} is {shown(value)}, expected a text")
        return value

    def integer(self, name: str, least: int = 0, most: int = MOST) -> int:
        value = self.values.get(name)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{self.place}.{name} is {shown(value)}, expected an integer from {least} to {most}")
        return value

    def digest(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise ValueError(f"{self.place}.{name} is {shown(value)}, expected a SHA-256 in hexadecimal")
        return value

    def choice(self, name: str, options: Collection[_Text]) -> _Text:
        value = self.values.get(name)
        for option in options:
            if value == option:
                return option
        raise ValueError(f"{self.place}.{name} is {shown(value)}, expected one of {', '.join(options)}")

    def items(self, name: str) -> list[Any]:
        value = self.values.get(name)
        if not isinstance(value, list):
            raise ValueError(f"{self.place}.{name} is {shown(value)}, expected a list")
        return value

    def inner(self, name: str, names: Collection[str] | None = None) -> "JsonObject":
        return JsonObject.of(self.values.get(name), f"{self.place}.{name}", names)

    def point_name(self, name: str) -> str:
        return safe_point_name(self.values.get(name), f"{self.place}.{name}")


def safe_point_name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not is_point_name(value):
        raise ValueError(f"{place} is {shown(value)}, which is no safe name of a point")
    return value


def unique(names: list[str], place: str) -> None:
    """Raises `ValueError` where a name is there twice."""
    if len(set(names)) != len(names):
        raise ValueError(f"{place} has a name twice")
