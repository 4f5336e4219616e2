"""The driver of a work on a Ray cluster: it asks for actors, gives them pieces, and sees to what becomes of both.

Actors that die are replaced and never restarted, and pieces go to those alone that have said that they are ready: so
where room is missing there are fewer workers, and nothing hangs. What one that died had at hand is given out again.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from foresight_cache.errors import Interrupted
from pipelines.launchers.on_ray.actors import Actor
from pipelines.launchers.on_ray.cluster import Resources, connected, load_ray, require_same_versions
from pipelines.launchers.on_ray.head import Head
from pipelines.launchers.work import Done, Piece, Work, WorkFailed

MOST_TRIES = 3
"""Workers that a piece may end before it is given up, and that may end in a row before one is ready."""
_POLL_SECONDS = 1.0
_LATER_SECONDS = 5.0
"""Seconds until a piece that another process is at is looked at again."""
_CHUNKS_EACH = 3
"""Chunks for each worker that are left, at which chunks become smaller, so that all end at about the same time."""


class RayLauncher:
    """A `Launcher`."""

    def __init__(self, address: str | None = None, actors: int | None = None) -> None:
        """Takes where the cluster is, and the most actors; None for what is there, and for what it has room for."""
        self._address, self._actors = address, actors

    def run(self, work: Work, done: Callable[[Done], None]) -> None:
        """Raises `UsageError`, `WorkFailed`, and `Interrupted` where the cluster is lost; what is done is kept."""
        ray = load_ray()
        try:
            with connected(ray, self._address):
                require_same_versions(ray)
                _Driver(ray, work, done, self._actors).run()
        except (ray.exceptions.RaySystemError, ray.exceptions.RpcError, ConnectionError) as error:
            said = " ".join(str(error).split())[:200]
            raise Interrupted(
                f"the Ray cluster is lost ({said}); what is finished is kept, the same command goes on from there"
            ) from error


@dataclass(eq=False)
class _Chunk:
    """Pieces that an actor is at."""

    actor: Any
    left: list[Piece]
    again: bool


@dataclass
class _Driver:
    ray: Any
    work: Work
    done: Callable[[Done], None]
    most: int | None
    starting: dict[Any, Any] = field(default_factory=dict)
    idle: list[Any] = field(default_factory=list)
    working: dict[Any, _Chunk] = field(default_factory=dict)
    tries: Counter[Piece] = field(default_factory=Counter)
    lost: set[Piece] = field(default_factory=set)
    """Pieces that a worker had which died or hangs, and may have claimed: a worker claims the next one ahead."""
    later: list[tuple[float, Piece]] = field(default_factory=list)
    failed_starts: int = 0

    def __post_init__(self) -> None:
        self.queue = deque(self.work.pieces)
        self.head = Head(self.ray)
        self.resources = Resources(self.ray, self.work)
        self.actor = self.ray.remote(
            num_gpus=self.resources.gpus,
            num_cpus=self.resources.cpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="DEFAULT" if self.resources.gpus else "SPREAD",
        )(Actor)

    def run(self) -> None:
        try:
            while self.queue or self.working or self.later:
                if not self.head.answers():
                    time.sleep(_POLL_SECONDS)
                    continue
                self._look_again()
                self._start()
                self._give_out()
                waiting = [*self.starting, *self.working]
                if not waiting:
                    time.sleep(_POLL_SECONDS)
                    continue
                for ready in self.ray.wait(waiting, num_returns=1, timeout=_POLL_SECONDS)[0]:
                    self._started(ready) if ready in self.starting else self._progressed(ready)
        except ConnectionError:
            raise  # no worker can be told to end; they end with the cluster
        except BaseException:
            self._end()
            raise
        self._end()

    def _look_again(self) -> None:
        due = [piece for at, piece in self.later if at <= time.monotonic()]
        self.later = [(at, piece) for at, piece in self.later if at > time.monotonic()]
        self.queue.extend(due)

    def _start(self) -> None:
        """Asks for as many actors as there is room and work for."""
        pieces = len(self.queue) + sum(len(chunk.left) for chunk in self.working.values())
        wanted = min(self.most or pieces, self.resources.actors(), pieces)
        for _ in range(wanted - len(self.starting) - len(self.idle) - len(self.working)):
            actor = self.actor.remote(self.work)
            self.starting[actor.begun.remote()] = actor

    def _started(self, ready: Any) -> None:
        actor = self.starting.pop(ready)
        try:
            refusal = self.ray.get(ready)
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.OutOfMemoryError) as error:
            self.failed_starts += 1
            if self.failed_starts > MOST_TRIES:
                raise WorkFailed(
                    f"{self.failed_starts} workers ended one after the other before they were ready, the last since "
                    f"{_sentence(error)}; look whether a node has memory for the model"
                ) from error
            return
        if refusal:
            raise WorkFailed(*refusal)
        self.failed_starts = 0
        self.idle.append(actor)

    def _give_out(self) -> None:
        while self.idle and self.queue:
            actor, pieces, again = self.idle.pop(), *self._next_chunk()
            method = actor.carry_out.options(num_returns="streaming")
            self.working[method.remote(pieces, again)] = _Chunk(actor, list(pieces), again)

    def _next_chunk(self) -> tuple[Sequence[Piece], bool]:
        """Returns pieces for a worker; those that one has lost go alone, whoever claims them."""
        if self.queue[0] in self.lost:
            return [self.queue.popleft()], True
        workers = len(self.idle) + len(self.working) + len(self.starting) + 1
        count = max(1, min(self.work.most_at_once, len(self.queue) // (_CHUNKS_EACH * workers)))
        pieces: list[Piece] = []
        while self.queue and len(pieces) < count and self.queue[0] not in self.lost:
            pieces.append(self.queue.popleft())
        return pieces, False

    def _progressed(self, stream: Any) -> None:
        chunk = self.working[stream]
        try:
            answer = self.ray.get(next(stream))
        except StopIteration:
            del self.working[stream]
            self.idle.append(chunk.actor)
            self.later += [(time.monotonic() + _LATER_SECONDS, piece) for piece in chunk.left]
            return
        except self.ray.exceptions.RayActorError as error:
            self._lost(stream, error)
            return
        except self.ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, MemoryError):
                raise WorkFailed(f"a worker failed at {_named(chunk.left)}: {_sentence(error.cause)}") from error
            self._lost(stream, error)
            return
        except self.ray.exceptions.OutOfMemoryError as error:
            self._lost(stream, error)
            return
        if isinstance(answer, Done):
            chunk.left.remove(answer.piece)
            self.done(answer)
        else:
            raise WorkFailed(*answer)

    def _lost(self, stream: Any, error: Exception) -> None:
        """Gives what was in flight to others; the first of it was being done when the worker ended."""
        chunk = self.working.pop(stream)
        self.ray.kill(chunk.actor)
        if chunk.left:
            first = chunk.left[0]
            self.tries[first] += 1
            if self.tries[first] > MOST_TRIES:
                raise WorkFailed(
                    f"{_named([first])} has ended {self.tries[first]} workers, the last since {_sentence(error)}; "
                    "look at its samples, or give workers more memory; all others that were begun are kept"
                ) from error
            self.lost.update(chunk.left)
            self.queue.extendleft(reversed(chunk.left))

    def _end(self) -> None:
        for actor in (*self.starting.values(), *self.idle, *(chunk.actor for chunk in self.working.values())):
            self.ray.kill(actor)


def _named(pieces: Sequence[Piece]) -> str:
    """Returns the first of some pieces in words.

    >>> _named([3, 4]), _named(["vit.pre_merge"])
    ('shard 000003', 'vit.pre_merge')
    """
    return f"shard {pieces[0]:06d}" if isinstance(pieces[0], int) else str(pieces[0])


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
