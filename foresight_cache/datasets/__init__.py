"""Dataset families, one file each. This folder is the registry: a file `coco.py` is the family `coco`.

A family turns a raw folder in its own published layout into samples. To add one, add a file with a class
`Reader` that has the two methods below; every manifest that names the family can then be prepared.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

from foresight_cache.errors import UnknownName
from foresight_cache.samples import Sample


class Reader(Protocol):
    """Reads one raw folder. Made with the manifest's dataset name and the folder."""

    def __init__(self, name: str, root: Path) -> None: ...

    def splits(self) -> tuple[str, ...]:
        """Splits that are present. Raises `DatasetError` where the layout is not recognised."""
        ...

    def samples(self, split: str) -> Iterator[tuple[Sample, Path]]:
        """Each sample with the path of its media file, in a fixed order. Opens no media file.

        Raises `DatasetError` where the annotations are not as published.
        """
        ...


class Generator(Protocol):
    """Makes a synthetic dataset in the layout that a `Reader` reads: the function `generate` of a file here."""

    def __call__(self, root: Path, *, count: int, seed: int) -> None: ...


def names() -> tuple[str, ...]:
    """Families and generators, by file name; nothing is imported."""
    return tuple(module.name for module in pkgutil.iter_modules(__path__))


def reader(family: str) -> type[Reader]:
    """Raises `UnknownName`."""
    return cast(type[Reader], _member(family, "Reader", "dataset family"))


def generator(name: str) -> Generator:
    """Raises `UnknownName`."""
    return cast(Generator, _member(name, "generate", "dataset generator"))


def _member(name: str, attribute: str, kind: str) -> object:
    if name in names():
        module = importlib.import_module(f"{__name__}.{name}")
        if hasattr(module, attribute):
            return getattr(module, attribute)
    raise UnknownName(kind, name, names())
