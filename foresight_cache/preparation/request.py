"""Binds the options of a preparation to one dataset and folder, and checks that they fit."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from foresight_cache import datasets
from foresight_cache.datasets import BoxReader
from foresight_cache.datasets.manifests import Manifest
from foresight_cache.errors import DatasetError, UnknownName, UsageError
from foresight_cache.preparation.options import PreparationOptions, is_address
from foresight_cache.records import digest
from foresight_cache.shards import ShardSet


@dataclass(frozen=True, kw_only=True)
class PreparationRequest:
    """Request to prepare one dataset into one folder, valid in itself."""

    manifest: Manifest
    out: Path
    options: PreparationOptions
    also: tuple[ShardSet, ...]
    """The prepared sets of `options.also`, opened."""

    def __post_init__(self) -> None:
        """Raises `UsageError` and `UnknownName` where the options do not fit the dataset."""
        name, generator = self.manifest.name, self.manifest.generator
        if self.options.root is None and not generator:
            raise UsageError(
                f"{name!r} is read from a folder that you have: give it with --root.\n{self.manifest.obtain}"
            )
        if self.options.root is not None and generator and not datasets.generator(generator).TAKES_SOURCE:
            raise UsageError(f"{name!r} is generated and reads no folder; leave --root out")
        if self.options.split is not None and self.manifest.splits and self.options.split not in self.manifest.splits:
            raise UnknownName(f"split of {name!r}", self.options.split, self.manifest.splits)
        if self.options.seed and not generator:
            raise UsageError(
                f"--seed is {self.options.seed}, but {name!r} is not generated, so that a seed changes nothing"
            )

        if self.options.boxes is not None and not issubclass(datasets.reader(self.manifest.family), BoxReader):
            raise UsageError(f"--boxes is {self.options.boxes}, but {self.manifest.family!r} has no boxes to read so")

        if self.address is not None and (generator or not _reads_tars(self.manifest.family)):
            raise UsageError(
                f"--root is {self.options.root}, but {name!r} is read from a folder; programs and addresses are for "
                "'webdataset' alone"
            )

    @property
    def folder(self) -> Path | None:
        """The raw folder; None where it is made first, drawn or fetched."""
        return None if self.manifest.generator or self.address else self.material

    @property
    def address(self) -> str | None:
        """Program or address of a store that tars are fetched from; None for a set that lies here."""
        return str(self.options.root) if is_address(self.options.root) else None

    @property
    def material(self) -> Path | None:
        """Path that `root` is; of a generated set a file for its generator."""
        return None if self.options.root is None or self.address else Path(self.options.root)

    @cached_property
    def packing_options(self) -> dict[str, Any]:
        """Options that decide what is packed, as far as they are given; a file is digested once."""
        options = {
            "split": self.options.split,
            "limit": self.options.selection.limit,
            "root": self._root_digest(),
            "seed": self.options.seed if self.manifest.generator else None,
            "shuffle-seed": self.options.selection.shuffle_seed,
            "per-class": self.options.selection.per_class,
            "partial": self.options.selection.partial or None,
            "pass-over": sorted(set(self.options.pass_over)) or None,
            "frame-gaps": self.options.frame_gaps or None,
            "follow-links": bool(self.options.follow_links) or None,  # where they lead to is one machine's affair
            "boxes": self.options.boxes,
            "deep": self.options.deep or None,
            "also": [other.digest for other in self.also] or None,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _root_digest(self) -> str | None:
        """Returns what stands for a root that is no folder; an address may have a password in it."""
        if self.address:
            return digest(self.address)
        return _digest_of(self.material) if self.manifest.generator and self.material else None


def _reads_tars(family: str) -> bool:
    from foresight_cache.datasets.parts.webdataset_reader import WebDatasetReader  # brings torch

    return issubclass(datasets.reader(family), WebDatasetReader)


def _digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file of material for a generator. Raises `DatasetError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; expected a file") from None
