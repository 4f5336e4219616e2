"""Reads tags of samples (indoor, people, text, …) from a table of one's own, and gives each sample its own."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from foresight_cache.datasets import ListedSample, RawSample
from foresight_cache.datasets.parts.text_files import read_heading, read_table
from foresight_cache.errors import BadSample, DatasetError

_ID = "id"
"""Heading of the first column where it has ids; under any other it has file names."""
_MOST = 3
"""Names that a sentence lists."""


class TagTable:
    """Tags by the name that a row gives its sample."""

    def __init__(self, path: Path, by_name: Mapping[str, Mapping[str, str]], *, ids: bool, repeated: int) -> None:
        self._path = path
        self._by_name = by_name
        self._ids = ids
        self._repeated = repeated

    @classmethod
    def load(cls, path: Path) -> Self:
        """Returns the table in a file of comma-separated text: the name of a sample, then a column for each tag.

        Raises `DatasetError` for a file that is no such table, and where two rows say different things of one sample.
        """
        heading = read_heading(path)
        if len(heading) < 2 or not all(map(str.strip, heading)) or len(set(heading)) < len(heading):
            raise DatasetError(
                f"{path} has the heading {heading}; expected 'id' or 'file_name', then a name of its own for each tag"
            )
        by_name: dict[str, dict[str, str]] = {}
        repeated = 0
        for number, row in enumerate(read_table(path, heading), start=1):
            if isinstance(row, BadSample):
                raise DatasetError(f"{path}, row {number}: {row}")
            name, *values = (row[column].strip() for column in heading)
            tags = {column.strip(): value for column, value in zip(heading[1:], values, strict=True) if value}
            if by_name.get(name, tags) != tags:
                raise DatasetError(
                    f"{path}, row {number}: {name!a} has the tags {tags}, and an earlier row says {by_name[name]}; "
                    "which are meant is unknown, so keep one row for each sample"
                )
            repeated += name in by_name
            by_name[name] = tags
        return cls(path, by_name, ids=heading[0].strip().lower() == _ID, repeated=repeated)

    def tagged(self, samples: Sequence[ListedSample]) -> tuple[list[ListedSample], tuple[str, ...]]:
        """Returns the samples with their tags, and sentences on rows and samples that have none of each other.

        Raises `DatasetError` where no row is of any sample, and where one is of several.
        """
        row_of = self._rows_of(samples)
        if samples and not row_of:
            kind = "ids" if self._ids else "file names"
            known = next(filter(None, map(self._full_name, samples)), "")
            raise DatasetError(
                f"{self._path} has tags of none of the {len(samples):,} samples, but of such as "
                f"{next(iter(self._by_name), '')!a}; expected {kind} such as {known!a}"
            )
        tagged = [
            replace(listed, sample=replace(listed.sample, annotations={**listed.sample.annotations, "tags": tags}))
            if isinstance(listed, RawSample) and (tags := self._by_name.get(row_of.get(position, "")))
            else listed
            for position, listed in enumerate(samples)
        ]
        return tagged, self._remarks(samples, row_of)

    def _rows_of(self, samples: Sequence[ListedSample]) -> dict[int, str]:
        """Returns the name of the row of each sample that has one, by position; the longest name that fits wins."""
        positions: dict[str, list[int]] = defaultdict(list)
        for position, listed in enumerate(samples):
            for name in _shorter(self._full_name(listed)):
                if name in self._by_name:
                    positions[name].append(position)
                    break
        for name, several in positions.items():
            if len(several) > 1:
                both = " and ".join(self._full_name(samples[position]) for position in several[:2])
                raise DatasetError(
                    f"{self._path} has tags of {name!a}, which is {len(several):,} samples: {both}; write it as far as "
                    "it differs"
                )
        return {position: name for name, several in positions.items() for position in several}

    def _full_name(self, listed: ListedSample) -> str:
        if self._ids or not isinstance(listed, RawSample):
            return listed.sample.id if isinstance(listed, RawSample) else listed.id
        return listed.sample.file_name

    def _remarks(self, samples: Sequence[ListedSample], row_of: Mapping[int, str]) -> tuple[str, ...]:
        used = set(row_of.values())
        unused = [name for name in self._by_name if name not in used]
        untagged = [self._full_name(each) for position, each in enumerate(samples) if position not in row_of]
        found = []
        if unused:
            found.append(f"{self._path.name}: {len(unused):,} rows are of no sample that was read, {_such_as(unused)}")
        if untagged:
            found.append(f"{self._path.name}: {len(untagged):,} samples have no row, {_such_as(untagged)}")
        if self._repeated:
            found.append(f"{self._path.name}: {self._repeated:,} rows say again what an earlier one says")
        return tuple(found)


def _shorter(name: str) -> list[str]:
    """Returns a path, and what is left of it without each of its folders from the first one on.

    >>> _shorter("coco/val/a.jpg")
    ['coco/val/a.jpg', 'val/a.jpg', 'a.jpg']
    """
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _such_as(names: Sequence[str]) -> str:
    return f"such as {', '.join(map(ascii, names[:_MOST]))}"
