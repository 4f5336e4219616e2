"""Dataset families, one file each. This folder is the registry: a file `coco.py` is the family `coco`.

A family turns a raw folder in its own published layout into samples. To add one, add a file with a class
`Reader` that has the two methods below; every manifest that names the family can then be prepared.
A file with a function `generate` makes a synthetic set instead, in a layout that one of the readers reads.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from foresight_cache.registry import Registry
from foresight_cache.samples import Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSample:
    """A sample whose annotations are sound; whether its media file is, is not yet known."""

    sample: Sample
    path: Path
    """The media file, inside the dataset's folder; or a folder of a clip's frames, image files in order of name."""
    labels: Path | None = None
    """Dense labels as a PNG; of a clip in frames a folder of PNGs, each named like the frame that it labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenSample:
    """A sample that the annotations list but that cannot be used. Nothing is ever left out in silence."""

    id: str
    """The sample's id, or the nearest thing to one that the annotations give."""
    reason: str
    absent: bool = False
    """Whether it lacks nothing but files, as samples do of which somebody has a part of a set."""


class Reader(Protocol):
    """Reads one raw folder. Made with the manifest's dataset name and the folder."""

    def __init__(self, name: str, root: Path) -> None: ...

    def splits(self) -> tuple[str, ...]:
        """Splits that are present. Raises `DatasetError` where the layout is not recognised."""
        ...

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """Everything that the annotations list, in a fixed order, ids unique. Opens no media file.

        Raises `DatasetError` where the split is not there or its annotations as a whole are not as published;
        what is wrong with one sample makes that sample `Broken`.
        """
        ...


class Generator(Protocol):
    """Makes a synthetic dataset in the layout that a `Reader` reads: the function `generate` of a file here.

    The same count and seed give the same bytes, and a smaller count gives the first scenes of a larger one.
    """

    def __call__(self, root: Path, *, count: int, seed: int, **source: Path) -> None:
        """One that may take its material from a file has an argument `source: Path | None = None`."""


_LAYOUTS = Registry(f"{__name__}.layouts", "dataset family")
_SYNTHETIC = Registry(f"{__name__}.synthetic", "dataset generator")


def layout_names() -> tuple[str, ...]:
    """Lists the families of raw folders that can be read, by file name; imports none of them."""
    return _LAYOUTS.names()


def generator_names() -> tuple[str, ...]:
    """Lists the generators of synthetic sets, by file name; imports none of them."""
    return _SYNTHETIC.names()


def reader(family: str) -> type[Reader]:
    """Raises `UnknownName`."""
    return cast(type[Reader], _LAYOUTS.module(family).Reader)


def generator(name: str) -> Generator:
    """Raises `UnknownName`."""
    return cast(Generator, _SYNTHETIC.module(name).generate)


def takes_source(name: str) -> bool:
    """Whether a generator may take its material from a file. Raises `UnknownName`."""
    return "source" in inspect.signature(generator(name)).parameters
