"""Pieces of a work that any number of processes do at once: each takes those that are missing and that nobody has."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from foresight_cache.errors import Interrupted
from foresight_cache.runtime.claims import Claim
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.runtime.renewal import renewed

Piece = TypeVar("Piece")

_POLL_SECONDS = 1.0


class Pieces(Protocol[Piece]):
    """What is made, piece by piece, such as a folder of answers."""

    def missing(self, pieces: Sequence[Piece], /) -> list[Piece]:
        """Returns those of these pieces that are not there yet."""
        ...

    def claim(self, piece: Piece, /) -> Claim | None:
        """Claims a piece for this process; None where another one has it, or where it is there by now."""
        ...

    def sweep(self) -> None:
        """Removes what killed processes left."""
        ...


def make_pieces(
    whole: Pieces[Piece],
    pieces: Sequence[Piece],
    make: Callable[[Piece, Claim, Callable[[], None]], None],
    *,
    waits: bool,
    place: str,
) -> None:
    """Makes these pieces as far as nobody else does, and returns when all of them are there.

    Args:
        whole: What they are pieces of.
        pieces: Pieces that are this process's business, in the order in which it looks at them.
        make: Makes one that is claimed; it calls the function that it is given between two steps.
        waits: False to raise `Interrupted` where others have all that is left, instead of waiting for them.
        place: Where they are, for that sentence.

    SIGINT and `STOP_SIGNALS` end it with `KeyboardInterrupt` after the current step.
    """
    with deferred_interrupts() as check:
        while left := whole.missing(pieces):
            found = False
            for piece in left:
                if held := whole.claim(piece):
                    found = True
                    try:
                        with renewed(held):
                            make(piece, held, check)
                    finally:
                        held.release()
            if not found and not waits:
                raise Interrupted(
                    f"nothing is left but what other processes make, {len(left)} shards of {place}; run it again once "
                    "they have ended, to see to what they leave"
                )
            if not found:
                check()
                time.sleep(_POLL_SECONDS)
    whole.sweep()
