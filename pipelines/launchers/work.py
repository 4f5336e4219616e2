"""Work that is divided into pieces, the workers that do pieces, and the launchers that bring both together.

A piece that is done shows where the results lie, so that it harms nothing if it is given out twice, and whoever runs
the same command again goes on with the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from foresight_cache.errors import ForesightError

Piece: TypeAlias = int | str
"""What is given out: the number of a shard, or the name of a point."""


@dataclass(frozen=True, slots=True)
class Done:
    """A piece that is finished."""

    piece: Piece
    samples: int
    """Samples that were computed for it now; 0 where it was there already."""
    size: int
    """Bytes of them."""
    failures: tuple[Any, ...] = ()
    """What in it failed, in the work's own terms, where the rest of it is finished."""


class WorkFailed(ForesightError):
    """What a worker elsewhere has refused or could not do, in its own words and with its exit status."""

    def __init__(self, sentence: str, exit_status: int = 1) -> None:
        super().__init__(sentence)
        self.exit_status = exit_status


class Worker(Protocol):
    """What does pieces, in one process; it holds what is dear to make, such as a model."""

    def carry_out(self, pieces: Sequence[Piece], *, again: bool) -> Iterator[Done]:
        """Does pieces and yields each when it is finished, also those that are finished already.

        Those that another process is at are left out, unless they are done `again` because a worker has died at them.
        Raises `ForesightError`.
        """
        ...


class Work(Protocol):
    """A work in pieces, which can be sent to another machine."""

    @property
    def pieces(self) -> Sequence[Piece]:
        """The pieces of this call, in the order in which they are done."""
        ...

    @property
    def most_at_once(self) -> int:
        """Pieces that are given to a worker at a time, at most."""
        ...

    @property
    def gpus(self) -> float:
        """GPUs that a worker needs where there are GPUs."""
        ...

    @property
    def needs_gpu(self) -> bool:
        """True where it was asked to run on a GPU."""
        ...

    @property
    def threads(self) -> int:
        """Processor cores that a worker can use."""
        ...

    def worker(self) -> Worker:
        """Makes a worker, as by loading a model. Raises `ForesightError`."""
        ...

    def here(self, done: Callable[[Done], None]) -> None:
        """Does all pieces in this process. Raises `ForesightError`."""
        ...


class Launcher(Protocol):
    """A way of doing a work."""

    def run(self, work: Work, done: Callable[[Done], None]) -> None:
        """Does all pieces of a work, and calls `done` for each. Raises `ForesightError`."""
        ...
