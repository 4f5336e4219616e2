"""Real Ray clusters of several nodes on this machine, and a work that counts how often each of its pieces is done."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from foresight_cache.errors import UsageError
from pipelines.launchers.work import Done, Piece

ROOT = Path(__file__).resolve().parents[2]
STORE_BYTES = 80 * 2**20
"""Memory of a node's object store, through which nothing goes but numbers."""


@contextmanager
def cluster(nodes: int, cpus: int = 1) -> Iterator[Any]:
    """A cluster whose head has no cores, with so many nodes beside it; its processes can import this project."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    os.environ |= {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ |= {"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "2000"}
    os.environ |= {"RAY_health_check_failure_threshold": "3", "RAY_health_check_initial_delay_ms": "1000"}
    store = {"object_store_memory": STORE_BYTES}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **store})
    try:
        made.added = [made.add_node(num_cpus=cpus, **store) for _ in range(nodes)]
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()
        os.environ.clear()
        os.environ.update(before)


def actors() -> list[psutil.Process]:
    """Returns the processes of actors that are alive, the oldest first."""
    found = [process for process in psutil.process_iter(["cmdline"]) if _is_actor(process)]
    return sorted(found, key=lambda process: process.create_time())


def _is_actor(process: psutil.Process) -> bool:
    return any("ray::Actor" in word for word in process.info["cmdline"] or ())


def processes_of(node: Any) -> list[int]:
    """Returns the numbers of a node's processes: its raylet and all that this has started."""
    raylets = [started.process.pid for kind, own in node.all_processes.items() if kind == "raylet" for started in own]
    return [
        number
        for raylet in raylets
        for number in [raylet, *(child.pid for child in psutil.Process(raylet).children(recursive=True))]
    ]


def stop(node: Any) -> None:
    """Lets a node hang: it neither works nor ends."""
    for number in processes_of(node):
        os.kill(number, signal.SIGSTOP)


@dataclass(frozen=True, kw_only=True)
class CountedWork:
    """A `Work` of numbers, each of which takes a while and leaves a line in a file when it is begun and when done."""

    folder: Path
    count: int
    seconds: float = 0.3
    poison: int = -1
    """Piece at which a worker dies."""
    hungry: tuple[int, int] = (-1, 0)
    """Piece for which a worker takes memory, and how many bytes."""
    refuses: str = ""
    gpus: float = 1
    needs_gpu: bool = False
    threads: int = 1
    most_at_once: int = 4

    @property
    def pieces(self) -> Sequence[Piece]:
        return range(self.count)

    def worker(self) -> "CountedWorker":
        if self.refuses:
            raise UsageError(self.refuses)
        return CountedWorker(self)

    def lines(self, kind: str) -> list[int]:
        """Returns the pieces that were `begun` or `done`, as often as they were."""
        text = (self.folder / kind).read_text() if (self.folder / kind).exists() else ""
        return [int(line) for line in text.split()]


class CountedWorker:
    """A `Worker`."""

    def __init__(self, work: CountedWork) -> None:
        self._work = work

    def carry_out(self, pieces: Sequence[Piece], *, again: bool) -> Iterator[Done]:  # noqa: ARG002
        for piece in map(int, pieces):
            if piece in self._work.lines("done"):
                yield Done(piece, 0, 0)
                continue
            self._note("begun", piece)
            if piece == self._work.poison:
                os._exit(1)
            taken = b"1" * self._work.hungry[1] if piece == self._work.hungry[0] else b""
            time.sleep(self._work.seconds + (5 if taken else 0))
            self._note("done", piece)
            yield Done(piece, 1, 10)

    def _note(self, kind: str, piece: int) -> None:
        with (self._work.folder / kind).open("a") as file:
            file.write(f"{piece}\n")
