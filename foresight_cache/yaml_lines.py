"""Reads a YAML file with the line of each key, so that errors can name it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from foresight_cache.errors import ManifestError

_LARGEST = 1 << 20
"""Largest number of bytes of a file; a larger one is not parsed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Value with the line of its key, counted from 1, and for a mapping the lines of its own keys."""

    value: Any
    line: int
    key_lines: Mapping[str, int]


def read_file(path: Path, kind: str, known: Sequence[str]) -> str:
    """Returns the text of a file of some kind, such as `manifest`, of which some are `known` by name.

    Raises `ManifestError` where there is none, and where it is too large or no text.
    """
    if not path.is_file():
        raise ManifestError(f"there is no {kind} at {path}; expected a YAML file, or one of: {', '.join(known)}")
    if path.stat().st_size > _LARGEST:
        raise ManifestError(f"{path} has {path.stat().st_size} bytes; a {kind} has at most {_LARGEST}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text (byte {error.start}); a {kind} is a YAML file") from None


def read_entries(text: str, source: str) -> dict[str, Entry]:
    """Returns the top mapping of a YAML text; builds only plain types, as `safe_load` does.

    Raises `ManifestError` with the name of the `source` and the line.
    """
    return _errors_at_lines(lambda: _located_entries(yaml.SafeLoader(text), source), text, source)


KeyPath = tuple[str | int, ...]
"""Keys, and numbers of list items from 0, that lead from the top of a file to a value."""
_Read = TypeVar("_Read")
_MOST_VALUES = 20_000
"""Values of a file at most: aliases of aliases would make ever more of a few lines."""


def read_located(text: str, source: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Returns the top mapping of a YAML text, and the line of every value at any depth; builds only plain types.

    The line of a value in a mapping is that of its key. Raises `ManifestError` with the name of the `source` and the
    line, also where a key is given twice.

    >>> read_located("a:\\n  b: [1,\\n    2]\\n", "set.yaml")
    ({'a': {'b': [1, 2]}}, {('a',): 1, ('a', 'b'): 2, ('a', 'b', 0): 2, ('a', 'b', 1): 3})
    """
    return _errors_at_lines(lambda: _located(yaml.SafeLoader(text), source), text, source)


def _located(loader: yaml.SafeLoader, source: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    node = loader.get_single_node()
    if not isinstance(node, yaml.MappingNode):
        fail_at_line(source, 1, "expected keys with values, such as 'name: my-set'")
    lines: dict[KeyPath, int] = {}
    for path, line in _walk(node, (), source):
        lines[path] = line
        if len(lines) > _MOST_VALUES:
            fail_at_line(source, line, f"expected at most {_MOST_VALUES:,} values in a file")
    try:
        values: dict[str, Any] = loader.construct_document(node)
    except ValueError as error:  # such as a date in month 13
        fail_at_line(source, 1, f"not valid YAML: {error}")
    return values, lines


def _walk(node: yaml.Node, path: KeyPath, source: str) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(node, yaml.MappingNode):
        _lines(node, source)
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                fail_at_line(source, key.start_mark.line + 1, "expected a word as key")
            yield (*path, str(key.value)), key.start_mark.line + 1
            yield from _walk(value, (*path, str(key.value)), source)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield (*path, number), item.start_mark.line + 1
            yield from _walk(item, (*path, number), source)


def _errors_at_lines(read: Callable[[], _Read], text: str, source: str) -> _Read:
    try:
        return read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fail_at_line(source, mark.line + 1 if mark else 1, f"not valid YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        fail_at_line(source, text.count("\n", 0, error.position) + 1, f"not valid YAML: {error.reason}")
    except RecursionError:
        fail_at_line(source, 1, "not valid YAML: too deeply nested")


def _located_entries(loader: yaml.SafeLoader, source: str) -> dict[str, Entry]:
    node = loader.get_single_node()
    if not isinstance(node, yaml.MappingNode):
        fail_at_line(source, 1, "expected keys with values, such as 'name: my-set'")
    entries: dict[str, Entry] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            fail_at_line(source, line, "expected a word as key")
        name = str(key.value)
        if name in entries:
            fail_at_line(source, line, f"the key {name!r} is given twice, first on line {entries[name].line}")
        try:
            entries[name] = Entry(loader.construct_object(value, deep=True), line, _lines(value, source))
        except ValueError as error:  # such as a date in month 13
            fail_at_line(source, line, f"not valid YAML: {error}")
    return entries


def _lines(node: yaml.Node, source: str) -> dict[str, int]:
    """Returns the lines of a mapping's keys, each of which is there once; nothing for other values."""
    lines: dict[str, int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if (name := str(key.value)) in lines:
            fail_at_line(source, line, f"the key {name!r} is given twice, first on line {lines[name]}")
        lines[name] = line
    return lines


def fail_at_line(source: str, line: int, problem: str) -> NoReturn:
    """Raises `ManifestError` with the name of a file, the line and the problem."""
    raise ManifestError(f"{source}, line {line}: {problem}")
