"""Which pieces of a work are one process's business, in which order it looks at them, and whether it waits for others.

Processes share out pieces (shards of a cache, points of a sweep) by claims. What is here decides nothing about who does
what, but keeps processes from looking at the same piece at the same time, and cuts off what a user has given elsewhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self, TypeVar

from foresight_cache.errors import UsageError

Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts of a work, counted from 1."""

    number: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `I/N`. Raises `UsageError`.

        >>> Part.parse("3/16")
        Part(number=3, parts=16)
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"--part is {text!r}, expected I/N with I from 1 to N, such as 3/16")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def of(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """Returns every N-th piece from the I-th on; parts beyond the number of pieces are empty.

        >>> Part(2, 3).of("abcdefg")
        'be'
        """
        return pieces[self.number - 1 :: self.parts]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkShare:
    """How one of several processes goes about a work that all of them do."""

    part: Part = Part(1, 1)
    """Part of the pieces that is this process's business."""
    begin: Fraction = Fraction(0)
    """Share of its pieces, from 0 up to but not including 1, that it looks at last instead of first."""
    waits: bool = True
    """False where it ends instead of waiting for pieces that other processes have."""

    def order(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Returns the pieces that are this process's business, in the order in which it looks at them.

        >>> WorkShare(begin=Fraction(2, 4)).order("abcdef")
        ['d', 'e', 'f', 'a', 'b', 'c']
        """
        return rotated(self.part.of(pieces), self.begin)


def rotated(pieces: Sequence[Piece], begin: Fraction) -> list[Piece]:
    """Returns all pieces, those of the share `begin` at their front behind the others."""
    first = int(begin * len(pieces))
    return [*pieces[first:], *pieces[:first]]


WHOLE = WorkShare()
"""All pieces from the first to the last, and then waiting for those of others."""
