"""Holds the options of a preparation, which become the parameters of `foresight prepare`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from foresight_cache.datasets import BOX_FORMS, BoxForm, FolderRules
from foresight_cache.datasets.inventory import DATA_KINDS, DOUBTS
from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.option_help import Flag
from foresight_cache.preparation.selection import SampleSelection


def path_or_address(text: str | None) -> Path | str | None:
    """Returns a path as such, and a program or an address as the text that it is.

    >>> path_or_address("data//coco"), path_or_address("s3://bucket/coco"), path_or_address("pipe:cat a.tar")
    (PosixPath('data/coco'), 's3://bucket/coco', 'pipe:cat a.tar')
    """
    return text if text is None or is_address(text) else Path(text)


def is_address(root: Path | str | None) -> bool:
    """Returns whether a root is a program (`pipe:…`) or an address of a store (`s3://…`), and no path."""
    return isinstance(root, str) and (root.startswith("pipe:") or "://" in root)


ACCEPTABLE = (*DATA_KINDS, *DOUBTS)
"""Kinds that `--pass-over` accepts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparationOptions:
    """Options for which samples are packed, how strictly they are checked, and by how many threads."""

    root: Annotated[
        Path | str | None,
        Flag(
            help="Folder of the raw dataset, or its tars, unless it is generated (moving-mnist may take a file).",
            parse=path_or_address,
            unset="none",
        ),
    ] = None
    split: Annotated[str | None, Flag(help="Only this split of the dataset, such as val2017.", unset="all splits")] = (
        None
    )
    selection: SampleSelection = field(default_factory=SampleSelection)
    samples_per_shard: Annotated[
        int, Flag(help="Samples in a tar, and so in a shard of every cache made from it.", at_least=1)
    ] = 64
    seed: Annotated[int, Flag(help="Seed of a generated dataset.")] = 0
    max_bad: Annotated[
        float,
        Flag(
            help="Share of unusable samples, 0 to 1, above which the command fails; up to it they are left out.",
            at_least=0,
            at_most=1,
        ),
    ] = 0.0
    pass_over: Annotated[
        tuple[str, ...],
        Flag(
            help=f"Kind of files or of doubt that is accepted: {', '.join(ACCEPTABLE)}. May be repeated.",
            unset="none",
        ),
    ] = ()
    frame_gaps: Annotated[
        bool, Flag(help="Accept folders of frames whose numbers have gaps; a constant step in your own needs no leave.")
    ] = False
    follow_links: Annotated[
        tuple[Path, ...],
        Flag(help="Folder outside the raw dataset that links in it may lead into. May be repeated.", unset="none"),
    ] = ()
    boxes: Annotated[
        BoxForm | None,
        Flag(
            help="Form of the boxes in a COCO file: corner and size (xywh), corners (xyxy), or fractions of the image.",
            unset="xywh, unless area and outline say otherwise",
        ),
    ] = None
    tags: Annotated[
        Path | None,
        Flag(help="Table of tags: CSV with the id or file name of a sample, then a column for each tag.", unset="none"),
    ] = None
    deep: Annotated[bool, Flag(help="Decode all media, not only their headers.")] = False
    also: Annotated[
        tuple[Path, ...],
        Flag(
            help="Other prepared dataset, whose groups samples with the same media get. May be repeated.",
            unset="none",
        ),
    ] = ()
    workers: Annotated[int, Flag(help="Threads that read and check ahead.", at_least=1)] = 2

    def __post_init__(self) -> None:
        for name, value in (("--samples-per-shard", self.samples_per_shard), ("--workers", self.workers)):
            if value < 1:
                raise UsageError(f"{name} is {value}, expected 1 or more")
        for kind in self.pass_over:
            if kind not in ACCEPTABLE:
                raise UnknownName("kind to pass over", kind, ACCEPTABLE)
        for folder in self.follow_links:
            if not folder.is_dir():
                raise UsageError(f"--follow-links is {folder}, which is no folder")
        if self.boxes is not None and self.boxes not in BOX_FORMS:
            raise UnknownName("form of boxes", self.boxes, BOX_FORMS)
        if not 0 <= self.max_bad <= 1:
            raise UsageError(f"--max-bad is {self.max_bad}, expected a share from 0 to 1, such as 0.01")

    @property
    def folder_rules(self) -> FolderRules:
        """Rules by which the raw folder is read."""
        return FolderRules(
            pass_over=frozenset(self.pass_over), follow_links=self.follow_links, frame_gaps=self.frame_gaps
        )
