"""The connection to a Ray cluster: one that is named, one that runs here, or one that is started for this call."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from foresight_cache.errors import MissingExtra, UsageError
from foresight_cache.runtime.interruption import STOP_SIGNALS
from pipelines.launchers.on_ray.actors import versions
from pipelines.launchers.work import Work, WorkFailed

NODE_SECONDS = 120.0
"""Seconds that a node has to say which versions it runs, a start of Python and an import."""
ANSWER_SECONDS = 10.0
"""Seconds that the head of a cluster has to answer."""
_CPUS_PER_GPU = 4


def load_ray() -> Any:
    """Returns the module `ray`. Raises `MissingExtra`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise MissingExtra("ray", extra="ray", purpose="--engine ray") from None
    return ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connects for the block. Signals stay with who has them: Ray would end this process itself.

    Raises `UsageError` where there is no cluster at the address, or one of another Ray or Python.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOP_SIGNALS)}
    try:
        _connect(ray, address)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield
    except ConnectionError:
        raise  # the head is gone, for which Ray would wait at the end
    except BaseException:
        _disconnect(ray)
        raise
    else:
        _disconnect(ray)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _disconnect(ray: Any) -> None:
    with suppress(Exception):  # the cluster may be gone
        ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    _silence(ray)
    named = address or os.environ.get("RAY_ADDRESS")
    try:
        _require_answer(named)
        ray.init(address=named or "auto", **settings)
    except ConnectionError as error:
        if named:
            raise UsageError(
                f"no Ray cluster answers at {named}; start one there ('ray start'), and this command on one of its "
                "nodes, or leave out the address for one on this machine"
            ) from error
        ray.init(include_dashboard=False, **settings)
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"the Ray cluster at {named or 'this machine'} cannot be joined: {said}") from error


def _require_answer(address: str | None) -> None:
    """Raises `ConnectionError` where nothing listens at an address with a port: Ray would ask for minutes, and exit."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise ConnectionError(str(error)) from error


def _silence(ray: Any) -> None:
    """Keeps what Ray says of workers that die from standard output, where results go; the driver sees to them."""
    with suppress(AttributeError):
        ray._private.worker.print_to_stdstream = lambda *_, **__: None


def own_versions() -> dict[str, str]:
    """Returns the versions of this process, that nodes must have too."""
    return versions()


def require_same_versions(ray: Any) -> None:
    """Raises `WorkFailed` for a node on which this package is missing, or another version of it or of Python."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    own, nodes = own_versions(), [node for node in ray.nodes() if node["Alive"]]
    ask = ray.remote(num_cpus=0, max_retries=0)(versions)
    asked = {
        node["NodeManagerAddress"] + f" ({node['NodeID'][:8]})": ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    }
    for name, answer in asked.items():
        try:
            theirs = ray.get(answer, timeout=NODE_SECONDS)
        except ray.exceptions.RayError as error:
            said = " ".join(str(error).split())[-300:]
            raise WorkFailed(f"node {name} cannot run foresight-cache; install it there too ({said})", 2) from error
        other = [f"{part} {theirs[part]}, here {own[part]}" for part in own if theirs.get(part) != own[part]]
        if other:
            raise WorkFailed(f"node {name} has another {'; '.join(other)}; install the same on all nodes", 2)


class Resources:
    """What an actor takes of a cluster, and how many actors there is room for."""

    def __init__(self, ray: Any, work: Work) -> None:
        """Raises `UsageError` where a GPU was asked for and no node has one."""
        self._ray = ray
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        on_gpus = work.gpus > 0 and any(node.get("GPU", 0) >= work.gpus for node in nodes)
        if work.needs_gpu and not on_gpus:
            most = max((node.get("GPU", 0) for node in nodes), default=0)
            raise UsageError(
                f"no node of the Ray cluster has {work.gpus:g} GPUs ({most:g} at most); start nodes with GPUs, or give "
                "--device cpu"
            )
        self.gpus = work.gpus if on_gpus else 0
        if on_gpus:
            spare = min(node.get("CPU", 0) / node["GPU"] for node in nodes if node.get("GPU", 0) >= work.gpus)
            self.cpus = max(0.0, min(_CPUS_PER_GPU, spare) * work.gpus // 1)
        else:
            most = max((node.get("CPU", 0) for node in nodes), default=0)
            self.cpus = max(1.0, min(float(work.threads), most))

    def actors(self) -> int:
        """Returns how many actors the living nodes have room for; one at least, which then waits for a node."""
        whole = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return max(1, sum(self._on(node) for node in whole))

    def _on(self, node: dict[str, float]) -> int:
        rooms = [node.get("GPU", 0) // self.gpus] if self.gpus else []
        rooms += [node.get("CPU", 0) // self.cpus] if self.cpus else []
        return int(min(rooms, default=0))
