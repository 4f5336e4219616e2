"""Dataset manifests: `data_manifests/*.yaml`, or a user's own YAML file, checked line by line.

The schema is described in `data_manifests/README.md`. A manifest says what a dataset is and which family of
`foresight_cache/datasets` reads it; it holds no paths of anybody's machine.
"""

import difflib
import importlib.resources
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, Self

import yaml

from foresight_cache import datasets
from foresight_cache.annotations import ANNOTATION_KINDS
from foresight_cache.errors import ManifestError, UnknownName
from foresight_cache.records import digest, is_text, shown
from foresight_cache.samples import Media, Sample, is_safe_name

_LARGEST = 1 << 20
"""Bytes that a manifest may have; a larger file is no manifest, and is not parsed."""


_NOT_IN_DIGEST = {
    *("title", "licence", "obtain", "homepage", "citation", "layouts", "annotation_files"),
    *("expected", "checksums"),
}
"""Keys that say what the set is and how to tell that it is whole, not which samples there are or what they carry."""
_CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}")


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
    expected: Mapping[str, int] = field(default_factory=dict)
    """Number of samples that a split has as published, by split; a split that is not here is not counted."""
    layouts: tuple[str, ...] = ()
    """Folder layouts that are accepted, as paths below ROOT."""
    annotation_files: tuple[str, ...] = ()
    """Files of annotations below ROOT; `<split>` stands for the name of a split."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """By path of a file below ROOT, its published checksum, such as `md5:…`."""
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
        return digest({name: value for name, value in self.to_json().items() if name not in _NOT_IN_DIGEST and value})

    def to_json(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def group_of(self, sample: Sample) -> str:
        """The group of a sample; the one that its reader gave where no pattern is given or none matches."""
        found = re.search(self.group, sample.file_name) if self.group else None
        return f"{self.name}/{found[1]}" if found else sample.group

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
    """A value with the line of its key, counted from 1; of a mapping also the lines of its keys."""

    value: Any
    line: int
    inner: Mapping[str, int]


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
            entries[name] = _Entry(loader.construct_object(value, deep=True), line, _lines(value, place))
        except ValueError as error:  # such as a date in month 13
            _fail(place, line, f"not valid YAML: {error}")
    return entries


def _lines(node: yaml.Node, place: str) -> dict[str, int]:
    """Lines of the keys of a mapping, each of which is there once; empty for anything else."""
    lines: dict[str, int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if (name := str(key.value)) in lines:
            _fail(place, line, f"the key {name!r} is given twice, first on line {lines[name]}")
        lines[name] = line
    return lines


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
    values = {name: _value(name, entry, place) for name, entry in entries.items()}
    for split in values.get("expected", ()):
        if split not in values.get("splits", ()):
            line = entries["expected"].inner.get(split, entries["expected"].line)
            _fail(place, line, str(UnknownName("split", split, values.get("splits", ()))))
    return values


def _value(name: str, entry: _Entry, place: str) -> Any:
    expected, check = _CHECKS[name]
    if name in _OF_EACH and isinstance(entry.value, dict):
        for key, item in entry.value.items():
            line = entry.inner.get(str(key), entry.line)
            if not isinstance(key, str) or not _OF_EACH[name](key, item):
                _fail(place, line, f"{name!r} has {shown(key)}: {shown(item)}, expected {expected}")
        return entry.value
    if not check(entry.value):
        _fail(place, entry.line, f"{name!r} is {shown(entry.value)}, expected {expected}")
    if name in _COMPONENTS and entry.value not in _COMPONENTS[name]():
        _fail(place, entry.line, str(UnknownName(f"dataset {name}", entry.value, _COMPONENTS[name]())))
    if isinstance(entry.value, list):
        return tuple(entry.value)
    return entry.value.strip() if isinstance(entry.value, str) else entry.value


def _fail(place: str, line: int, problem: str) -> NoReturn:
    raise ManifestError(f"{place}, line {line}: {problem}")


def _is_filled_text(value: Any) -> bool:
    return is_text(value) and bool(value.strip())


def _is_list_of(check: Callable[[str], bool]) -> Callable[[Any], bool]:
    def is_list(value: Any) -> bool:
        texts = isinstance(value, list) and all(isinstance(item, str) and check(item) for item in value)
        return texts and len(set(value)) == len(value)

    return is_list


def _is_inner_path(value: str) -> bool:
    """Whether it is the path of something below a folder, and stays there."""
    path = PurePosixPath(value)
    return bool(value.strip()) and not path.is_absolute() and ".." not in path.parts and "\0" not in value


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
_COMPONENTS = {"family": datasets.layout_names, "generator": datasets.generator_names}
_OF_EACH: dict[str, Callable[[str, Any], bool]] = {
    "expected": lambda _, value: type(value) is int and value > 0,
    "checksums": lambda path, value: _is_inner_path(path) and bool(_CHECKSUM.fullmatch(str(value))),
}
"""Keys whose value is a mapping, and what each of its entries must be."""
_REQUIRED = {"name", "title", "family", "media", "annotations", "licence", "obtain"}

if _CHECKS.keys() != {field.name for field in fields(Manifest)}:
    raise TypeError("every field of Manifest needs its check")
