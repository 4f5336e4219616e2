"""What becomes of the files of a raw folder: each is taken, refused by name, or passed over by a rule with a name."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KINDS: Mapping[str, str] = {
    "hidden": "hidden files, and those that systems leave",
    "text": "text, which annotations are read from",
    "other": "files of other kinds",
    "not-listed": "media that the annotations do not list",
    "other-splits": "media of splits that were not asked for",
    "flow": "images of optical flow beside frames",
    "other-media": "media of another kind than the set's",
    "undecodable": "media with a suffix that is not decoded here",
    "unplaced": "media where the layout has none",
}
"""Rules by which a file is passed over, and what they pass over."""
DATA_KINDS = ("other-media", "undecodable", "unplaced")
"""Kinds that look like data that was meant: they are refused unless they are accepted by name."""
DOUBTS: Mapping[str, str] = {
    "split-names": "folders that are called like splits, or nearly, and are classes",
    "wrapping": "a folder that holds everything, and is the only class",
}
"""Doubts about a layout that are not raised where they are accepted by name."""
_MOST_EXAMPLES = 3


@dataclass(kw_only=True)
class PassedOver:
    """Files that one rule passes over."""

    suffixes: Counter[str] = field(default_factory=Counter)
    """Number of files by suffix."""
    examples: list[str] = field(default_factory=list)
    """First file in each of a few folders of the root, as paths below it."""

    @property
    def count(self) -> int:
        """Number of files."""
        return self.suffixes.total()

    def add(self, name: str, suffix: str, count: int = 1) -> None:
        """Counts so many files by the path of one below the root."""
        self.suffixes[suffix or "without suffix"] += count
        if len(self.examples) < _MOST_EXAMPLES and all(
            name.split("/")[0] != each.split("/")[0] for each in self.examples
        ):
            self.examples.append(name)

    def __str__(self) -> str:
        suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(self.suffixes.items()))
        return f"{suffixes}, such as {', '.join(ascii(name)[1:-1] for name in sorted(self.examples))}"


@dataclass(kw_only=True)
class Inventory:
    """Number of files below a root by what becomes of them; each is counted once."""

    root: Path | str
    """The folder, or the address that its files were fetched from."""
    listed: bool
    """True where annotations list the samples, so that other media are no oversight."""
    taken: int = 0
    """Number of files that belong to a sample."""
    refused: int = 0
    """Number of files, and of links to folders, of samples that cannot be used; their names are told."""
    passed_over: dict[str, PassedOver] = field(default_factory=dict)
    """Files that are passed over, by kind."""
    steps: dict[str, int] = field(default_factory=dict)
    """Step of the numbers of frames, by folder of frames, where it is not 1."""

    @property
    def files(self) -> int:
        """Number of all of them."""
        return self.taken + self.refused + sum(each.count for each in self.passed_over.values())

    def pass_over(self, kind: str, name: str, suffix: str, count: int = 1) -> None:
        """Counts a file, given as a path below the root, or several like it, under one of `KINDS`."""
        self.passed_over.setdefault(kind, PassedOver()).add(name, suffix, count)

    def lost(self, accepted: Collection[str]) -> dict[str, PassedOver]:
        """Returns what looks like data and is passed over, but for kinds that are accepted."""
        return {
            kind: self.passed_over[kind] for kind in DATA_KINDS if kind in self.passed_over and kind not in accepted
        }
