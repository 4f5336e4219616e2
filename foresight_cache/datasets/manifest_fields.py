"""Checks the fields of a manifest: which there are, which are needed, and what each may hold."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from foresight_cache import datasets
from foresight_cache.annotations import ANNOTATION_KINDS
from foresight_cache.errors import UnknownName
from foresight_cache.records import is_text, shown
from foresight_cache.samples import is_safe_name
from foresight_cache.yaml_lines import Entry, fail_at_line

_CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}")


def checked_fields(entries: Mapping[str, Entry], source: str) -> dict[str, Any]:
    """Returns the arguments of `Manifest`: every key known, every needed key there, every value of its type.

    Raises `ManifestError` with the name of the `source` and the line.
    """
    for name, entry in entries.items():
        if _begins_program(entry.value):
            problem = "has a program, 'pipe:…', which no manifest may run; give it on the command line, as --root"
            fail_at_line(source, entry.line, f"{shown(name)} {problem}")
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            fail_at_line(source, entry.line, f"unknown key {name!r}{hint} Keys: {', '.join(_FIELDS)}")
    last = max((entry.line for entry in entries.values()), default=1)
    for name in sorted(_NEEDED - entries.keys()):
        fail_at_line(source, last, f"the key {name!r} is missing; expected {_FIELDS[name][0]}")
    for name, one_without_other in (("count", "generator"), ("generator", "count")):
        if name in entries and one_without_other not in entries:
            fail_at_line(source, entries[name].line, f"{name!r} is given without {one_without_other!r}")
    values = {name: _value(name, entry, source) for name, entry in entries.items()}
    for split in values.get("expected", ()):
        if split not in values.get("splits", ()):
            line = entries["expected"].key_lines.get(split, entries["expected"].line)
            fail_at_line(source, line, str(UnknownName("split", split, values.get("splits", ()))))
    return values


def _value(name: str, entry: Entry, source: str) -> Any:
    expected, check = _FIELDS[name]
    if name in _OF_EACH_ITEM and isinstance(entry.value, dict):
        for key, item in entry.value.items():
            line = entry.key_lines.get(str(key), entry.line)
            if not isinstance(key, str) or not _OF_EACH_ITEM[name](key, item):
                fail_at_line(source, line, f"{name!r} has {shown(key)}: {shown(item)}, expected {expected}")
        return entry.value
    if not check(entry.value):
        fail_at_line(source, entry.line, f"{name!r} is {shown(entry.value)}, expected {expected}")
    if name in _COMPONENTS and entry.value not in _COMPONENTS[name]():
        fail_at_line(source, entry.line, str(UnknownName(f"dataset {name}", entry.value, _COMPONENTS[name]())))
    if isinstance(entry.value, list):
        return tuple(entry.value)
    return entry.value.strip() if isinstance(entry.value, str) else entry.value


def _begins_program(value: Any) -> bool:
    """Returns whether a value is, or has among its items, what WebDataset's readers would run.

    >>> _begins_program("pipe:cat a.tar"), _begins_program(["a", " pipe:ls"]), _begins_program("see pipe:")
    (True, True, False)
    """
    items = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return any(isinstance(item, str) and item.lstrip().startswith("pipe:") for item in items)


def _is_filled_text(value: Any) -> bool:
    return is_text(value) and bool(value.strip())


def _is_list_of(check: Callable[[str], bool]) -> Callable[[Any], bool]:
    def is_list(value: Any) -> bool:
        texts = isinstance(value, list) and all(isinstance(item, str) and check(item) for item in value)
        return texts and len(set(value)) == len(value)

    return is_list


def _is_inner_path(value: str) -> bool:
    """Returns whether a value is the path of something below a folder, and stays there."""
    path = PurePosixPath(value)
    return bool(value.strip()) and not path.is_absolute() and ".." not in path.parts and "\0" not in value


def _is_group_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and re.compile(value).groups == 1
    except re.error:
        return False


_Check = Callable[[Any], bool]
_FIELDS: dict[str, tuple[str, _Check]] = {
    "name": (
        "a name of letters, digits, '.', '_' and '-'",
        lambda value: isinstance(value, str) and is_safe_name(value),
    ),
    "title": ("a line of text", _is_filled_text),
    "family": (f"a dataset family: {', '.join(datasets.layout_names())}", _is_filled_text),
    "media": ("'image' or 'clip'", lambda value: value in ("image", "clip")),
    "annotations": (f"a list of: {', '.join(ANNOTATION_KINDS)}", _is_list_of(lambda kind: kind in ANNOTATION_KINDS)),
    "licence": ("text", _is_filled_text),
    "obtain": ("text that says how to get the data", _is_filled_text),
    "homepage": (
        "an http(s) address",
        lambda value: _is_filled_text(value) and value.startswith(("http://", "https://")),
    ),
    "citation": ("text", _is_filled_text),
    "splits": ("a list of split names", _is_list_of(is_safe_name)),
    "expected": ("a number of samples, 1 or more, for each split", lambda _: False),
    "layouts": ("a list of paths below ROOT", _is_list_of(_is_inner_path)),
    "annotation_files": ("a list of paths below ROOT", _is_list_of(_is_inner_path)),
    "checksums": ("md5:…, sha1:… or sha256:… in hexadecimal for each path below ROOT", lambda _: False),
    "group": ("a regular expression with one (group)", _is_group_pattern),
    "generator": (f"a dataset generator: {', '.join(datasets.generator_names())}", _is_filled_text),
    "count": ("a number of samples, 1 or more", lambda value: type(value) is int and value > 0),
}
"""For each field, what is expected of it in words, and the check of its value."""
_COMPONENTS = {"family": datasets.layout_names, "generator": datasets.generator_names}
_OF_EACH_ITEM: dict[str, Callable[[str, Any], bool]] = {
    "expected": lambda _, value: type(value) is int and value > 0,
    "checksums": lambda path, value: _is_inner_path(path) and bool(_CHECKSUM.fullmatch(str(value))),
}
"""Keys whose value is a mapping, and the check of each of its items."""
_NEEDED = {"name", "title", "family", "media", "annotations", "licence", "obtain"}

FIELDS = frozenset(_FIELDS)
"""Names of all fields of a manifest."""
