"""Values of a study file that know their line, so that every mistake is named with it."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from foresight_cache.errors import ForesightError
from foresight_cache.records import is_text, shown
from foresight_cache.yaml_lines import KeyPath, fail_at_line, read_located

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a YAML file. Methods take it apart, or raise `ManifestError` with the file and the line."""

    value: Any
    path: KeyPath
    source: str
    lines: Mapping[KeyPath, int]

    @classmethod
    def of_text(cls, text: str, source: str) -> "Located":
        """Returns the top mapping of a YAML text."""
        value, lines = read_located(text, source)
        return cls(value, (), source, lines)

    @property
    def name(self) -> str:
        """The keys that lead to it, as in `criteria.iou.point`."""
        return ".".join(map(str, self.path)) or "the file"

    def fail(self, problem: str) -> NoReturn:
        """Raises `ManifestError` with the file, the line and the problem."""
        fail_at_line(self.source, self.lines.get(self.path, 1), problem)

    def expected(self, words: str) -> NoReturn:
        """Raises `ManifestError` with the value, and in words what was expected."""
        self.fail(f"{self.name!r} is {shown(self.value)}, expected {words}")

    def fields(self, known: Collection[str], needed: Collection[str] = ()) -> dict[str, "Located"]:
        """Returns the values of a mapping by key, all keys known and all needed ones there."""
        fields = self.named()
        for name, field in fields.items():
            if name not in known:
                field.fail(f"unknown key {name!r}{nearest(name, known)}; known here: {', '.join(known)}")
        for name in needed:
            if name not in fields:
                self.fail(f"the key {name!r} is missing in {self.name}")
        return fields

    def named(self) -> dict[str, "Located"]:
        """Returns the values of a mapping by key."""
        if not isinstance(self.value, dict):
            self.expected("keys with values")
        return {str(name): self._inner(value, str(name)) for name, value in self.value.items()}

    def items(self) -> list["Located"]:
        """Returns the values of a list; a single value is a list of one."""
        if not isinstance(self.value, list):
            return [self]
        return [self._inner(value, number) for number, value in enumerate(self.value)]

    def text(self) -> str:
        """Returns a text, on one line."""
        if not is_text(self.value) or not self.value.strip():
            self.expected("text")
        return " ".join(self.value.split())

    def texts(self) -> tuple[str, ...]:
        """Returns a list of texts; a single text is a list of one."""
        return tuple(item.text() for item in self.items())

    def choice(self, kind: str, known: Collection[str]) -> str:
        """Returns one of some names."""
        text = self.text()
        if text not in known:
            self.fail(f"unknown {kind} {text!r}{nearest(text, known)}; known: {', '.join(sorted(known))}")
        return text

    def choices(self, kind: str, known: Collection[str]) -> tuple[str, ...]:
        """Returns a list of some names."""
        return tuple(item.choice(kind, known) for item in self.items())

    def number(self) -> float:
        """Returns a finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not abs(self.value) < 1e300:
            self.expected("a number")
        return float(self.value)

    def whole(self, least: int) -> int:
        """Returns a whole number of at least so much."""
        if type(self.value) is not int or self.value < least:
            self.expected(f"a whole number of at least {least}")
        return self.value

    def flag(self) -> bool:
        """Returns true or false."""
        if not isinstance(self.value, bool):
            self.expected("true or false")
        return self.value

    def made(self, make: Callable[[], Made]) -> Made:
        """Returns what a function makes of the value, whose errors get the line."""
        try:
            return make()
        except ForesightError as error:
            self.fail(str(error))

    def _inner(self, value: Any, key: str | int) -> "Located":
        return Located(value, (*self.path, key), self.source, self.lines)


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a question after the nearest of some names, empty where none is near.

    >>> nearest("taks", ["task", "metric"]), nearest("x", ["task"])
    ("; did you mean 'task'?", '')
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
