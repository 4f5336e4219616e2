"""Dataset manifests: `data_manifests/*.yaml`, or a user's own YAML file, checked line by line.

The schema is described in `data_manifests/README.md`. A manifest says what a dataset is and which family of
`foresight_cache/datasets` reads it; it holds no paths of anybody's machine.
"""

import difflib
import importlib.resources
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NoReturn, Self

import yaml

from foresight_cache import datasets
from foresight_cache.annotations import ANNOTATION_KINDS
from foresight_cache.errors import ManifestError, UnknownName
from foresight_cache.fingerprint import digest
from foresight_cache.samples import Media, Sample, is_safe_name

_LARGEST = 1 << 20
"""Bytes that a manifest may have; a larger file is no manifest, and is not parsed."""


_PROSE = {"title", "licence", "obtain", "homepage", "citation"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What is known of a dataset before looking at it."""

    name: str
    """First part of every sample id; letters, digits, `.`, `_` and `-`."""
    title: str
    """One line that says what the set is."""
    family: str
    """File of `foresight_cache/datasets` whose `Reader` reads the raw folder."""
    media: Media
    """`image` or `clip`."""
    annotations: tuple[str, ...]
    """Kinds of annotation that its samples carry, of `ANNOTATION_KINDS`."""
    licence: str
    """Under which terms the data may be used."""
    obtain: str
    """How to get it and which folder layouts are accepted."""
    homepage: str | None = None
    citation: str | None = None
    splits: tuple[str, ...] = ()
    """Splits that it has, in order; empty where any split that a folder has is taken."""
    group: str | None = None
    """Regular expression over a sample's file name; what its one group matches is the sample's group."""
    generator: str | None = None
    """File of `foresight_cache/datasets` whose `generate` makes the raw folder, for synthetic sets."""
    count: int | None = None
    """Number of samples that are generated unless told otherwise; given with `generator`, and only then."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides which samples there are and what they carry.

        Prose is left out, so that a better sentence does not make a set another one; and so is what is not given,
        so that neither does a key that a later version adds.
        """
        return digest({name: value for name, value in self.to_json().items() if name not in _PROSE and value})

    def to_json(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def group_of(self, sample: Sample) -> str:
        """The group of a sample; its own id where the manifest gives no pattern or the pattern does not match."""
        found = re.search(self.group, sample.file_name) if self.group else None
        return f"{self.name}/{found[1]}" if found else sample.id

    @classmethod
    def parse(cls, text: str, place: str) -> Self:
        """From YAML text. Raises `ManifestError` with `place` and the line."""
        return cls(**_checked(_entries(text, place), place))


def names() -> tuple[str, ...]:
    """Manifests that come with the project."""
    files = importlib.resources.files("data_manifests").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load(name_or_path: str | os.PathLike[str]) -> Manifest:
    """By name, or from a user's own file: anything with a `/`, or that ends in `.yaml` or `.yml`, is a path.

    Raises `UnknownName` for a name that is not listed and `ManifestError` for a file that is not a manifest.

    >>> load("shapes").family
    'coco'
    """
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, os.PathLike) or os.sep in name or name.endswith((".yaml", ".yml")):
        return Manifest.parse(_text(Path(name)), name)
    if name not in names():
        raise UnknownName("dataset", name, names())
    file = importlib.resources.files("data_manifests") / f"{name}.yaml"
    return Manifest.parse(file.read_text(encoding="utf-8"), f"{name}.yaml")


def _text(path: Path) -> str:
    if not path.is_file():
        raise ManifestError(f"there is no manifest at {path}; expected a YAML file, or one of: {', '.join(names())}")
    if path.stat().st_size > _LARGEST:
        raise ManifestError(f"{path} has {path.stat().st_size} bytes; a manifest has at most {_LARGEST}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text (byte {error.start}); a manifest is a YAML file") from None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A value with the line of its key, counted from 1."""

    value: Any
    line: int


def _entries(text: str, place: str) -> dict[str, _Entry]:
    """The mapping at the top of a YAML file, with lines. Only plain YAML types are ever built, as by `safe_load`."""
    try:
        return _located(yaml.SafeLoader(text), place)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _fail(place, mark.line + 1 if mark else 1, f"not valid YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        _fail(place, text.count("\n", 0, error.position) + 1, f"not valid YAML: {error.reason}")
    except RecursionError:
        _fail(place, 1, "not valid YAML: too deeply nested")


def _located(loader: yaml.SafeLoader, place: str) -> dict[str, _Entry]:
    node = loader.get_single_node()
    if not isinstance(node, yaml.MappingNode):
        _fail(place, 1, "expected keys with values, such as 'name: my-set'")
    entries: dict[str, _Entry] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            _fail(place, line, "expected a word as key")
        name = str(key.value)
        if name in entries:
            _fail(place, line, f"the key {name!r} is given twice, first on line {entries[name].line}")
        try:
            entries[name] = _Entry(loader.construct_object(value, deep=True), line)
        except ValueError as error:  # such as a date in month 13
            _fail(place, line, f"not valid YAML: {error}")
    return entries


def _checked(entries: Mapping[str, _Entry], place: str) -> dict[str, Any]:
    """Arguments of `Manifest`: every key known, every needed key there, every value of its type."""
    for name, entry in entries.items():
        if name not in _CHECKS:
            near = difflib.get_close_matches(name, _CHECKS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            _fail(place, entry.line, f"unknown key {name!r}{hint} Keys: {', '.join(_CHECKS)}")
    last = max((entry.line for entry in entries.values()), default=1)
    for name in sorted(_REQUIRED - entries.keys()):
        _fail(place, last, f"the key {name!r} is missing; expected {_CHECKS[name][0]}")
    for name, one_without_other in (("count", "generator"), ("generator", "count")):
        if name in entries and one_without_other not in entries:
            _fail(place, entries[name].line, f"{name!r} is given without {one_without_other!r}")
    return {name: _value(name, entry, place) for name, entry in entries.items()}


def _value(name: str, entry: _Entry, place: str) -> Any:
    expected, check = _CHECKS[name]
    if not check(entry.value):
        # Containers are not printed: a few nested aliases can make one of them endless.
        shown = repr(entry.value) if isinstance(entry.value, str | int | float) else type(entry.value).__name__
        _fail(place, entry.line, f"{name!r} is {shown}, expected {expected}")
    if name in ("family", "generator") and entry.value not in datasets.names():
        _fail(place, entry.line, str(UnknownName(f"dataset {name}", entry.value, datasets.names())))
    if isinstance(entry.value, list):
        return tuple(entry.value)
    return entry.value.strip() if isinstance(entry.value, str) else entry.value


def _fail(place: str, line: int, problem: str) -> NoReturn:
    raise ManifestError(f"{place}, line {line}: {problem}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_list_of(check: Callable[[str], bool]) -> Callable[[Any], bool]:
    def is_list(value: Any) -> bool:
        texts = isinstance(value, list) and all(isinstance(item, str) and check(item) for item in value)
        return texts and len(set(value)) == len(value)

    return is_list


def _is_group_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and re.compile(value).groups == 1
    except re.error:
        return False


_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": (
        "a name of letters, digits, '.', '_' and '-'",
        lambda value: isinstance(value, str) and is_safe_name(value),
    ),
    "title": ("a line of text", _is_text),
    "family": (f"a dataset family: {', '.join(datasets.names())}", _is_text),
    "media": ("'image' or 'clip'", lambda value: value in ("image", "clip")),
    "annotations": (f"a list of: {', '.join(ANNOTATION_KINDS)}", _is_list_of(lambda kind: kind in ANNOTATION_KINDS)),
    "licence": ("text", _is_text),
    "obtain": ("text that says how to get the data", _is_text),
    "homepage": ("an http(s) address", lambda value: _is_text(value) and value.startswith(("http://", "https://"))),
    "citation": ("text", _is_text),
    "splits": ("a list of split names", _is_list_of(is_safe_name)),
    "group": ("a regular expression with one (group)", _is_group_pattern),
    "generator": (f"a dataset generator: {', '.join(datasets.names())}", _is_text),
    "count": ("a number of samples, 1 or more", lambda value: type(value) is int and value > 0),
}
_REQUIRED = {"name", "title", "family", "media", "annotations", "licence", "obtain"}

if _CHECKS.keys() != {field.name for field in fields(Manifest)}:
    raise TypeError("every field of Manifest needs its check")
