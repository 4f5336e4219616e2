"""What is found in a folder against what its manifest expects: numbers of samples, and published checksums."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.datasets.manifests import Manifest
from foresight_cache.errors import DatasetError


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitCount:
    """One split."""

    split: str
    listed: int
    """Samples that its annotations, or its folder, list."""
    expected: int | None
    """Samples that it has as published; None where the manifest counts none."""

    @property
    def missing(self) -> int:
        """Samples that are published and not listed."""
        return max(0, (self.expected or 0) - self.listed)

    @property
    def extra(self) -> int:
        """Samples that are listed beyond what is published."""
        return 0 if self.expected is None else max(0, self.listed - self.expected)


def count(manifest: Manifest, listed: Mapping[str, int]) -> tuple[SplitCount, ...]:
    """By split, in order."""
    return tuple(
        SplitCount(split=split, listed=number, expected=manifest.expected.get(split))
        for split, number in listed.items()
    )


def check_counts(manifest: Manifest, counts: Iterable[SplitCount], max_bad: float) -> None:
    """Raises `DatasetError` where more than this share of a split is missing or too much."""
    for each in counts:
        if each.missing + each.extra > max_bad * max(each.expected or 0, each.listed) + 1e-9:
            how = f"{each.missing:,} are missing" if each.missing else f"{each.extra:,} are too many"
            raise DatasetError(
                f"split {each.split!r} of {manifest.name!r} has {each.listed:,} samples here and {each.expected:,} as "
                f"published: {how}; get it whole, or prepare what is there with --partial"
            )


def check_checksums(manifest: Manifest, root: Path) -> None:
    """Raises `DatasetError` where a file that is there is not the one that was published."""
    for name, published in manifest.checksums.items():
        path, (algorithm, _, digest) = root / name, published.partition(":")
        if not path.is_file():
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != digest:
            raise DatasetError(
                f"{path} is not the file that was published: its {algorithm} is {found}, not {digest}; get it again, "
                "or prepare what is there with --partial"
            )
