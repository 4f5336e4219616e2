"""Loads dataset manifests: `data_manifests/*.yaml`, or a user's own YAML file.

The schema is described in `data_manifests/README.md`. A manifest says what a dataset is and which file of
`datasets/layouts` reads it; it holds no paths of anybody's machine.
"""

import importlib.resources
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from foresight_cache.datasets.manifest_fields import FIELDS, checked_fields
from foresight_cache.errors import UnknownName
from foresight_cache.records import digest
from foresight_cache.samples import Media, Sample
from foresight_cache.yaml_lines import read_entries, read_file

_NOT_IN_DIGEST = {
    *("title", "licence", "obtain", "homepage", "citation", "layouts", "annotation_files"),
    *("expected", "checksums"),
}
"""Keys that describe the set, or help to check that it is whole, and change no sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Description of a dataset, known before its folder is read."""

    name: str
    """First part of every sample id; letters, digits, `.`, `_` and `-`."""
    title: str
    """Description of the set in one line."""
    family: str
    """File of `datasets/layouts` whose `Reader` reads the raw folder."""
    media: Media
    """`image` or `clip`."""
    annotations: tuple[str, ...]
    """Kinds of annotation that its samples carry, of `ANNOTATION_KINDS`."""
    licence: str
    """Terms of use of the data."""
    obtain: str
    """Instructions for getting the data, and the folder layouts that are accepted."""
    homepage: str | None = None
    """Address of the dataset's page."""
    citation: str | None = None
    """Publication of the dataset."""
    splits: tuple[str, ...] = ()
    """Splits in order; empty where all splits that a folder has are read."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Published number of samples by split; a split that is missing here is not counted."""
    layouts: tuple[str, ...] = ()
    """Folder layouts that are accepted, as paths below ROOT."""
    annotation_files: tuple[str, ...] = ()
    """Files of annotations below ROOT; `<split>` stands for the name of a split."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Published checksum, such as `md5:…`, by the path of a file below ROOT."""
    group: str | None = None
    """Regular expression over a sample's file name; its one group matches the name of the sample's group."""
    generator: str | None = None
    """File of `datasets/synthetic` whose `generate` makes the raw folder, for synthetic sets."""
    count: int | None = None
    """Default number of generated samples; given with `generator`, and only then."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides which samples there are and what they carry.

        Prose does not count, so that a better sentence leaves the digest as it is; nor do keys that are not given, so
        that a key that a later version adds leaves it too.
        """
        return digest({name: value for name, value in self.to_json().items() if name not in _NOT_IN_DIGEST and value})

    def to_json(self) -> dict[str, Any]:
        """Returns all fields as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def group_of(self, sample: Sample) -> str:
        """Returns the group of a sample: by the pattern, or the reader's where there is none or it does not match."""
        match = self.group_match(sample)
        return f"{self.name}/{match[1]}" if match else sample.group

    def group_match(self, sample: Sample) -> re.Match[str] | None:
        """Returns the match of the pattern in a sample's file name; None where there is no pattern or no match."""
        return re.search(self.group, sample.file_name) if self.group else None

    @classmethod
    def parse(cls, text: str, source: str) -> Self:
        """Returns the manifest of a YAML text. Raises `ManifestError` with the name of the `source` and the line."""
        return cls(**checked_fields(read_entries(text, source), source))


def names() -> tuple[str, ...]:
    """Returns the names of the manifests that come with the project."""
    files = importlib.resources.files("data_manifests").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load(name_or_path: str | os.PathLike[str]) -> Manifest:
    """Returns a manifest by name, or from a path, which has a `/` in it or ends in `.yaml` or `.yml`.

    Raises `UnknownName` for a name that is not listed and `ManifestError` for a file that is not a manifest.

    >>> load("shapes").family
    'coco'
    """
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, os.PathLike) or os.sep in name or name.endswith((".yaml", ".yml")):
        return Manifest.parse(read_file(Path(name), "manifest", names()), name)
    if name not in names():
        raise UnknownName("dataset", name, names())
    file = importlib.resources.files("data_manifests") / f"{name}.yaml"
    return Manifest.parse(file.read_text(encoding="utf-8"), f"{name}.yaml")


if {field.name for field in fields(Manifest)} != FIELDS:
    raise TypeError("every field of Manifest needs its check")
