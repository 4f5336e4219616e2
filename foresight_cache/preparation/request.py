"""What a preparation is asked for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from foresight_cache import datasets
from foresight_cache.datasets.manifests import Manifest
from foresight_cache.errors import DatasetError, UnknownName, UsageError
from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.shards import Quarantined, ShardSet


@dataclass(frozen=True, kw_only=True)
class PreparationRequest:
    """What is to be prepared, valid in itself."""

    manifest: Manifest
    out: Path
    options: PreparationOptions
    also: tuple[ShardSet, ...]
    """The prepared sets of `options.also`, opened."""

    def __post_init__(self) -> None:
        """Raises `UsageError` and `UnknownName` where the options do not fit the dataset."""
        name, generated = self.manifest.name, self.manifest.generator is not None
        if self.options.root is None and not generated:
            raise UsageError(
                f"{name!r} is read from a folder that you have: give it with --root.\n{self.manifest.obtain}"
            )
        if (
            self.options.root is not None
            and generated
            and not datasets.generator(str(self.manifest.generator)).TAKES_SOURCE
        ):
            raise UsageError(f"{name!r} is generated and reads no folder; leave --root out")
        if self.options.split is not None and self.manifest.splits and self.options.split not in self.manifest.splits:
            raise UnknownName(f"split of {name!r}", self.options.split, self.manifest.splits)
        if self.options.seed and not generated:
            raise UsageError(
                f"--seed is {self.options.seed}, but {name!r} is not generated, so that a seed changes nothing"
            )

    @property
    def folder(self) -> Path | None:
        """The raw folder; none of a generated set, whose `root` is the file that it takes its material from."""
        return None if self.manifest.generator else self.options.root

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """Options that decide what is packed, those that are given; a file is read once."""
        options = {
            "split": self.options.split,
            "limit": self.options.selection.limit,
            "root": _digest_of(self.options.root) if self.manifest.generator and self.options.root else None,
            "seed": self.options.seed if self.manifest.generator else None,
            "shuffle-seed": self.options.selection.shuffle_seed,
            "per-class": self.options.selection.per_class,
            "partial": self.options.selection.partial or None,
            "deep": self.options.deep or None,
            "also": [other.digest for other in self.also] or None,
        }
        return {name: value for name, value in options.items() if value is not None}


def refuse_bad(request: PreparationRequest, quarantined: Sequence[Quarantined], good: int) -> None:
    """Raises `DatasetError` where more samples are bad than was allowed, or none is good."""
    bad = len(quarantined)
    # The small addition keeps 0.29 × 100 from being 28.999….
    allowed = int(request.options.max_bad * (bad + good) + 1e-9)
    if good and bad <= allowed:
        return
    first = "".join(f"\n  {each.id}: {each.reason}" for each in quarantined[:5])
    more = f"\n  … and {bad - 5} more" if bad > 5 else ""
    way = f"mend them, or leave them out with --max-bad {_share_above(bad, bad + good)}" if good else "none is left"
    raise DatasetError(
        f"{bad} of {bad + good} samples of {request.manifest.name!r} cannot be used, "
        f"--max-bad {request.options.max_bad:g} allows {allowed}; {way}:{first}{more}"
    )


def _share_above(bad: int, listed: int) -> str:
    """The smallest share, to two or more digits, that allows so many.

    >>> _share_above(1, 3), _share_above(1, 4), _share_above(2, 118287)
    ('0.34', '0.25', '0.000017')
    """
    digits = 2
    while True:
        share = -(-bad * 10**digits // listed)
        if share >= 10 or bad * 10**digits % listed == 0:
            return f"{share / 10**digits:.{digits}f}"
        digits += 1


def _digest_of(path: Path) -> str:
    """SHA-256 of the file that a generator takes its material from. Raises `DatasetError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; expected a file") from None
