"""Phrases of a corpus: lines of a text file, or captions of a prepared set."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import DatasetError
from foresight_cache.shards import open_shard, open_shards


@dataclass(frozen=True, slots=True)
class Corpus:
    """Phrases, each once, in their order."""

    place: Path
    phrases: list[str]
    sources: list[str]
    """Where each phrase stands: `line 7`, or `sample 000000139`."""

    @property
    def digest(self) -> str:
        """SHA-256 of the phrases, hexadecimal."""
        return hashlib.sha256("\n".join(self.phrases).encode()).hexdigest()

    def where(self, number: int) -> str:
        """Returns where a phrase stands, for a sentence."""
        return f"{self.place}, {self.sources[number]}"


def read_corpus(place: Path) -> Corpus:
    """Reads a text file, UTF-8, one phrase a line, or the captions of the prepared set in a folder.

    Blank lines, and phrases that were there before, are left out. Raises `DatasetError` and `ShardError`.
    """
    if not place.exists():
        raise DatasetError(
            f"there is no {place}; expected a text file of one phrase a line, or a folder of prepared shards"
        )
    found: dict[str, str] = {}
    for phrase, source in _captions(place) if place.is_dir() else _lines(place):
        if phrase:
            found.setdefault(phrase, source)
    if not found:
        what = "no sample has captions" if place.is_dir() else "expected one phrase a line"
        raise DatasetError(f"{place} holds no phrases: {what}; give another corpus")
    return Corpus(place, list(found), list(found.values()))


def _lines(place: Path) -> Iterator[tuple[str, str]]:
    with place.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DatasetError(
                    f"{place}, line {number} is not UTF-8 (byte {error.start + 1} of it); convert the corpus, as with "
                    "iconv -f LATIN1 -t UTF-8"
                ) from None
            if "\0" in text:
                raise DatasetError(
                    f"{place}, line {number} has bytes of zero, as UTF-16 or a binary file has; convert it to UTF-8"
                )
            yield text.strip(), f"line {number}"


def _captions(place: Path) -> Iterator[tuple[str, str]]:
    shards = open_shards(place)
    for number in range(len(shards.shards)):
        for sample in open_shard(shards, number).samples:
            for caption in sample.annotations.get("captions") or ():
                yield " ".join(caption.split()), f"sample {sample.id}"
