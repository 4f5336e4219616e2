"""Canonical, sealed JSON, taken apart field by field with the field named in the error.

A digest tells of accidents. Taking a record apart tells of programs that wrote something else and sealed it: what comes
out of here has the right types, names that cannot leave the cache's folder, and sizes that memory can hold. Every
function raises `ValueError` with a phrase; the caller knows the file and the way out.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeGuard, TypeVar

MOST = 2**53
"""Largest integer of a record: past it, programs that hold numbers as floats read another one."""
_POINT_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*(@[a-z_]+)?")
_LONGEST_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DEEPEST = 32
_SEAL = "sha256"
"""Field under which a record has the digest of its other fields."""

_Text = TypeVar("_Text", bound=str)


def canonical_json(value: Any) -> bytes:
    """Returns the one spelling of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Raises `ValueError` where there is none.

    >>> canonical_json({"b": 1, "a": [1.5, "é"]}).decode()
    '{"a":[1.5,"é"],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(value: Any) -> str:
    """Returns the SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def with_digest(body: Mapping[str, Any]) -> dict[str, Any]:
    """Seals a record: adds the digest of its fields under `sha256`."""
    return {**body, _SEAL: digest(body)}


def checked_digest(record: Any) -> dict[str, Any]:
    """Returns a sealed record without its digest. Raises `ValueError` where the two do not agree.

    >>> checked_digest(with_digest({"shard": 1}))
    {'shard': 1}
    >>> checked_digest({**with_digest({"shard": 1}), "shard": 2})
    Traceback (most recent call last):
    ValueError: was changed after it was written: its own digest does not match
    """
    body = {name: value for name, value in record.items() if name != _SEAL} if isinstance(record, dict) else {}
    try:
        sound = _SEAL in record and digest(body) == record[_SEAL]
    except (ValueError, TypeError, RecursionError):  # what has no canonical form, such as NaN, or is no object
        sound = False
    if not sound:
        raise ValueError("was changed after it was written: its own digest does not match")
    return body


def parse_json(data: bytes) -> Any:
    """Returns the value of JSON text. Raises `ValueError` where the bytes are not JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error})") from None


def is_point_name(name: str) -> bool:
    """Tells whether a point may have this name, which is that of its folder.

    >>> [name for name in ("llm.layer_01@mean", "../vit", "samples", "zarr.json") if is_point_name(name)]
    ['llm.layer_01@mean']
    """
    ours = name in ("samples", "zarr.json")
    return not ours and len(name) <= _LONGEST_NAME and _POINT_NAME.fullmatch(name) is not None


def is_text(value: Any) -> TypeGuard[str]:
    """Tells whether a value is text, not empty, that UTF-8 can hold: JSON can have halves of characters.

    >>> is_text("é"), is_text(""), is_text("\\ud800"), is_text(7)
    (True, False, False, False)
    """
    return isinstance(value, str) and bool(value) and (value.isascii() or not _has_half(value))


def _has_half(value: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in value)


def shown(value: Any) -> str:
    """Returns a value for a sentence: of bounded length, and in ASCII, as it may hold halves of characters.

    >>> shown([1, 2.5]), shown({"a": 1}), shown(None), shown([[1], [2]]), shown([0] * 9)
    ('[1, 2.5]', "{'a': 1}", 'None', 'a list of 2', 'a list of 9')
    """
    if _is_container(value) and (len(value) > 8 or any(map(_is_container, _inside(value)))):
        return f"a {type(value).__name__} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _is_container(value: Any) -> bool:
    return isinstance(value, list | dict)


def is_deep(value: Any) -> bool:
    """Tells whether containers lie deeper in each other than anything of ours.

    >>> import json
    >>> is_deep({"a": [1]}), is_deep(json.loads("[" * 40 + "]" * 40))
    (False, True)
    """
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for container in filter(_is_container, level) for inner in _inside(container)]
    return bool(level)


def _inside(container: list[Any] | dict[str, Any]) -> Collection[Any]:
    return container if isinstance(container, list) else container.values()


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object. Each method returns one field, or raises `ValueError` with what is wrong and where."""

    values: Mapping[str, Any]
    path: str
    """Dotted name of the object inside its record, such as `root.points[3]`."""

    @classmethod
    def of(cls, value: Any, path: str, names: Collection[str] | None = None) -> Self:
        """Takes in a value that must be an object; with `names`, one of exactly these fields."""
        if not isinstance(value, dict):
            raise ValueError(f"{path} is {shown(value)}, expected an object")
        if names is not None and value.keys() != set(names):
            name = min(value.keys() ^ set(names))
            raise ValueError(f"{path} {'has an unknown' if name in value else 'lacks the'} field {shown(name)}")
        return cls(value, path)

    def text(self, name: str) -> str:
        """Returns a text that is not empty."""
        value = self.values.get(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "a text")
        return value

    def integer(self, name: str, least: int = 0, most: int = MOST) -> int:
        """Returns an integer from `least` to `most`."""
        value = self.values.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(name, f"an integer from {least} to {most}")
        return value

    def digest(self, name: str) -> str:
        """Returns a SHA-256 in hexadecimal."""
        value = self.values.get(name)
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise self.wrong(name, "a SHA-256 in hexadecimal")
        return value

    def choice(self, name: str, options: Collection[_Text]) -> _Text:
        """Returns one of some texts."""
        value = self.values.get(name)
        for option in options:
            if value == option:
                return option
        raise self.wrong(name, f"one of {', '.join(options)}")

    def items(self, name: str) -> list[Any]:
        """Returns a list of anything."""
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def objects(self, name: str, names: Collection[str] | None = None) -> list["JsonObject"]:
        """Returns a list of objects; with `names`, each of exactly these fields."""
        return [JsonObject.of(item, f"{self.path}.{name}[{n}]", names) for n, item in enumerate(self.items(name))]

    def inner(self, name: str, names: Collection[str] | None = None) -> "JsonObject":
        """Returns an object; with `names`, one of exactly these fields."""
        return JsonObject.of(self.values.get(name), f"{self.path}.{name}", names)

    def point_name(self, name: str) -> str:
        """Returns the name of a point that is safe as that of a folder."""
        return safe_point_name(self.values.get(name), f"{self.path}.{name}")

    def wrong(self, name: str, expected: str) -> ValueError:
        """Returns the error for a field that is not as expected."""
        return ValueError(f"{self.path}.{name} is {shown(self.values.get(name))}, expected {expected}")


def safe_point_name(value: Any, path: str) -> str:
    """Returns the value where a point may have this name. Raises `ValueError` where it may not."""
    if not isinstance(value, str) or not is_point_name(value):
        raise ValueError(f"{path} is {shown(value)}, which is not a safe name for a point")
    return value


def unique(names: Collection[str], path: str) -> None:
    """Raises `ValueError` where a name is there twice."""
    if len(set(names)) != len(names):
        raise ValueError(f"{path} has a name twice")
