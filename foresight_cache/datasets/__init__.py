"""Datasets: manifests in YAML that describe them, and the protocols of readers and generators.

This module holds the protocols. A file in `layouts/` with a class `Reader` reads raw folders of one layout; every
manifest that names the file as its family can then be prepared. A file in `synthetic/` that is a `Generator` makes a
set instead, in a layout that one of the readers reads.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast, get_args, runtime_checkable

from foresight_cache.datasets.file_parts import MediaFile
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.registry import Registry
from foresight_cache.samples import Sample

FrameGaps = Literal["none", "even", "any"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSample:
    """Sample whose annotations are sound; its media file has not been opened yet."""

    sample: Sample
    """Its record, with width and height 0 where only the media say them."""
    path: MediaFile
    """The media file, inside the dataset's folder or one of its tars; or a folder of a clip's frames, image files."""
    labels: Path | None = None
    """Dense labels as a PNG; of a clip in frames a folder of PNGs, each named like the frame that it labels."""
    gaps: FrameGaps = "none"
    """Numbers that may be missing among frames in a folder: none, all between frames at an even step, or any."""
    follow_links: tuple[Path, ...] = ()
    """Folders elsewhere that links among its frames may lead into."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenSample:
    """Sample that the annotations list but that cannot be used. Nothing is ever left out in silence."""

    id: str
    """The sample's id, or the nearest thing to one that the annotations give."""
    reason: str
    """Clause that says what is wrong, for the list of quarantined samples."""
    absent: bool = False
    """True where nothing but files is missing, as in a part of a set."""
    path: Path | None = None
    """The file that it is, where it is one that was found and not one that is listed."""
    labels: Path | None = None
    """Its dense labels, where these were found."""
    classes: tuple[str, ...] = ()
    """What it would be counted under, such as its action, where the annotations say so."""


ListedSample = RawSample | BrokenSample
"""Sample that a dataset's annotations list, usable or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderRules:
    """Rules by which a raw folder is read, as far as its owner may choose them."""

    pass_over: frozenset[str] = frozenset()
    """Kinds of `inventory.py` that may be passed over, and doubts about the layout that are not to be raised."""
    follow_links: tuple[Path, ...] = ()
    """Folders elsewhere that links in the raw folder may lead into."""
    frame_gaps: bool = False
    """True where numbers may be missing among the frames in a folder of frames."""

    def gaps(self, usual: FrameGaps = "none") -> FrameGaps:
        """Returns what may be missing among frames of a layout where this is the usual answer."""
        return "any" if self.frame_gaps else usual

    def accepts(self, kind: str) -> bool:
        """Returns whether a kind is accepted by name."""
        return kind in self.pass_over


DEFAULT_RULES = FolderRules()
"""Rules where the owner has chosen none."""


class Reader(Protocol):
    """Reader of one raw folder. Made with the manifest's dataset name and the folder."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None: ...

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that are present. Raises `DatasetError` where the layout is not recognised."""
        ...

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields everything that the annotations list, in a fixed order, ids unique. Opens no media file
        but for its size, where annotations need one and leave it out.

        Raises `DatasetError` where the split is not there or its annotations as a whole are not as published;
        a sample that is wrong by itself becomes a `BrokenSample`.
        """
        ...

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:
        """Counts every file below the folder by what becomes of it, where these samples of these splits are listed.

        Raises `DatasetError` for a folder that cannot be read.
        """
        ...


BoxForm = Literal["xywh", "xyxy", "fraction"]
"""Form of a published box: corner and size, two corners, or corner and size in fractions of the image."""
BOX_FORMS: tuple[BoxForm, ...] = get_args(BoxForm)


@runtime_checkable
class RemarkingReader(Reader, Protocol):
    """Reader that has something to say of what it read, though it can be used."""

    def remarks(self) -> tuple[str, ...]:
        """Returns sentences on what contradicts itself in the splits read so far, but does not forbid to use them."""
        ...


@runtime_checkable
class BoxReader(RemarkingReader, Protocol):
    """Reader of boxes that people write in several forms, which compares annotations with each other."""

    def read_boxes_as(self, form: BoxForm) -> None:
        """Takes boxes to be of this form, whatever area and outline say of them."""
        ...


class Generator(Protocol):
    """Module that makes a synthetic dataset in the layout that a `Reader` reads.

    The same count and seed give the same bytes, and a smaller count gives the first scenes of a larger one.
    """

    TAKES_SOURCE: bool
    """True where `generate` has the argument `source`."""

    def generate(self, root: Path, *, count: int, seed: int, source: Path | None = None) -> None:
        """Writes a raw folder of `count` samples; `source` is a file to use in place of drawn material."""
        ...


_LAYOUTS = Registry(f"{__name__}.layouts", "dataset family", variable="Reader")
_SYNTHETIC = Registry(f"{__name__}.synthetic", "dataset generator")


def layout_names() -> tuple[str, ...]:
    """Returns the names of the layouts that can be read, by file name; imports none of them."""
    return _LAYOUTS.names()


def generator_names() -> tuple[str, ...]:
    """Returns the names of the generators of synthetic sets, by file name; imports none of them."""
    return _SYNTHETIC.names()


def reader(family: str) -> type[Reader]:
    """Returns the reader of a layout. Raises `UnknownName`."""
    return cast(type[Reader], _LAYOUTS.component(family))


def generator(name: str) -> Generator:
    """Returns the module of a generator. Raises `UnknownName`."""
    return cast(Generator, _SYNTHETIC.module(name))
