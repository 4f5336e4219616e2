"""Checks what a folder holds against what is expected: numbers of samples, checksums, and the share of bad samples."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.datasets.manifests import Manifest
from foresight_cache.errors import DatasetError
from foresight_cache.preparation.causes import EXAMPLES, causes_of, tell_cause
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.shards import Quarantined

_CAUSES = 5
"""Causes of bad samples that are told."""
_SYSTEMATIC = 10
"""Inverse of the share of a set from which on bad samples of one cause are no accidents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitCount:
    """Number of samples of one split beside the number that is published."""

    split: str
    listed: int
    """Number of samples that its annotations, or its folder, list."""
    expected: int | None
    """Number of samples as published; None where the manifest counts none."""

    @property
    def missing(self) -> int:
        """Number of samples that are published and not listed."""
        return max(0, (self.expected or 0) - self.listed)

    @property
    def extra(self) -> int:
        """Number of samples that are listed beyond what is published."""
        return 0 if self.expected is None else max(0, self.listed - self.expected)


def count_splits(manifest: Manifest, listed: Mapping[str, int]) -> tuple[SplitCount, ...]:
    """Returns the counts of splits in order, from the number of listed samples by split."""
    return tuple(
        SplitCount(split=split, listed=number, expected=manifest.expected.get(split))
        for split, number in listed.items()
    )


def check_counts(manifest: Manifest, counts: Iterable[SplitCount], max_bad: float) -> None:
    """Raises `DatasetError` where more than this share of a split is missing or too much."""
    for count in counts:
        if count.missing + count.extra > max_bad * max(count.expected or 0, count.listed) + 1e-9:
            how = f"{count.missing:,} are missing" if count.missing else f"{count.extra:,} are too many"
            raise DatasetError(
                f"split {count.split!r} of {manifest.name!r} has {count.listed:,} samples here and {count.expected:,} "
                f"as published: {how}; get it whole, or prepare what is there with --partial"
            )


def check_checksums(manifest: Manifest, root: Path) -> None:
    """Raises `DatasetError` where a file that is there is not the one that was published."""
    for name, published in manifest.checksums.items():
        path, (algorithm, _, digest) = root / name, published.partition(":")
        if not path.is_file():
            continue
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, algorithm).hexdigest()
        if actual != digest:
            raise DatasetError(
                f"{path} is not the file that was published: its {algorithm} is {actual}, not {digest}; get it again, "
                "or prepare what is there with --partial"
            )


def check_bad_samples(
    request: PreparationRequest, quarantined: Sequence[Quarantined], good: int, absent: int = 0
) -> None:
    """Raises `DatasetError` where more samples are bad than was allowed, or none is good.

    `absent` is the number of bad samples of which nothing but files is missing.
    """
    bad = len(quarantined)
    # The small addition keeps 0.29 × 100 from being 28.999….
    allowed = int(request.options.max_bad * (bad + good) + 1e-9)
    if good and bad <= allowed:
        return
    causes = sorted(causes_of(quarantined), key=len, reverse=True)
    lines = [line for samples in causes[:_CAUSES] for line in tell_cause(samples)]
    told = "".join(f"\n  {line}" for line in lines)
    rest = sum(map(len, causes[_CAUSES:]))
    more = f"\n  … and {rest:,} more" if rest else ""
    raise DatasetError(
        f"{bad:,} of {bad + good:,} samples of {request.manifest.name!r} cannot be used, "
        f"--max-bad {request.options.max_bad:g} allows {allowed:,}; {_advice(causes, good, absent)}:{told}{more}"
    )


def _advice(causes: Sequence[Sequence[Quarantined]], good: int, absent: int) -> str:
    """Returns what to do about bad samples; `causes` has the samples of the most frequent one first.

    What is wrong with many for one reason is no accident of single samples: what is left would be another set.
    """
    bad, most = sum(map(len, causes)), len(causes[0])
    if most > EXAMPLES and _SYSTEMATIC * most >= bad + good:
        if 2 * absent > bad:
            return "get the files that are missing, or prepare what is there with --partial"
        return f"{'all' if most == bad else f'{most:,}'} for one reason, which has to be mended in the set itself"
    return f"mend them, or leave them out with --max-bad {_share_above(bad, bad + good)}" if good else "none is left"


def _share_above(bad: int, listed: int) -> str:
    """Returns the smallest share, to two or more digits, that allows so many.

    >>> _share_above(1, 3), _share_above(1, 4), _share_above(2, 118287)
    ('0.34', '0.25', '0.000017')
    """
    digits = 2
    while True:
        share = -(-bad * 10**digits // listed)
        if share >= 10 or bad * 10**digits % listed == 0:
            return f"{share / 10**digits:.{digits}f}"
        digits += 1
