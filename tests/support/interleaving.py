"""Workers that write one cache in one process, a step of one after a step of another, by an order drawn from a seed.

Each worker runs the real `CacheWriter` in a thread of its own. Every request of it to the store is a step, before which
it waits for the scheduler; so two never run at once, and a seed tells all that happens. At a step a worker may be
killed, as by SIGKILL: no request of it comes through any more, not even to give back what it has claimed. Or it sleeps
while others take over what it has claimed, and goes on later as if nothing had been.
"""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

MOST_STEPS = 100_000


class Killed(BaseException):
    """No error, so that nothing of the worker handles it as one."""


@dataclass
class Worker:
    """One process, as far as the scheduler knows it."""

    name: str
    work: Callable[["Worker"], None]
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    rest: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    killed: bool = False
    ended: bool = False
    asleep_until: int = 0
    error: BaseException | None = None

    def step(self) -> None:
        """Waits for the next turn. Raises `Killed` where there is none."""
        if self.killed:
            raise Killed
        self.rest.release()
        self.go.acquire()
        if self.killed:
            raise Killed

    def run(self) -> None:
        self.go.acquire()
        try:
            self.work(self)
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.ended = True
        self.rest.release()


class Scheduler:
    """Gives turns, kills and puts to sleep, all by one random generator."""

    def __init__(self, generator: random.Random, *, kills: int = 0, sleeps: int = 0) -> None:
        self.generator, self.steps = generator, 0
        self._kills, self._sleeps = kills, sleeps

    def run(self, workers: list[Worker], look: Callable[[], None], typical_steps: int) -> None:
        """Runs workers until all have ended or were killed; calls `look` after every step."""
        threads = [threading.Thread(target=worker.run, name=worker.name, daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        try:
            self._run(workers, look, typical_steps)
        finally:
            for worker in workers:
                while not worker.ended:  # only where `look` has failed
                    worker.killed = True
                    worker.go.release()
                    worker.rest.acquire()
        for thread in threads:
            thread.join()
        for worker in workers:
            if worker.error:
                raise worker.error

    def _run(self, workers: list[Worker], look: Callable[[], None], typical_steps: int) -> None:
        kills = sorted(self.generator.randrange(typical_steps) for _ in range(self._kills))
        sleeps = sorted(self.generator.randrange(typical_steps) for _ in range(self._sleeps))
        while alive := [worker for worker in workers if not worker.ended]:
            worker = self._chosen(alive)
            if kills and self.steps >= kills[0]:
                kills.pop(0)
                worker.killed = True
            elif sleeps and self.steps >= sleeps[0]:
                sleeps.pop(0)
                worker.asleep_until = self.steps + self.generator.randrange(typical_steps)
                continue
            worker.go.release()
            worker.rest.acquire()
            self.steps += 1
            assert self.steps < MOST_STEPS, "they hinder each other for ever"
            look()

    def _chosen(self, alive: list[Worker]) -> Worker:
        awake = [worker for worker in alive if worker.asleep_until <= self.steps]
        with suppress(IndexError):
            return self.generator.choice(awake)
        return min(alive, key=lambda worker: worker.asleep_until)
