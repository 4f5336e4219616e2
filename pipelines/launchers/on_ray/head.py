"""The head of a Ray cluster: where it stays away, Ray asks for a minute and then ends this process with status 1."""

import atexit
import os
import socket
import sys
import time
from typing import Any

from foresight_cache.errors import Interrupted

PATIENCE_SECONDS = 20.0
"""Seconds without an answer after which the cluster counts as lost: Ray ends the process after 60."""
_ANSWER_SECONDS = 2.0


class Head:
    """Tells whether the head answers, without Ray."""

    def __init__(self, ray: Any) -> None:
        """Takes the module, connected to a cluster."""
        host, _, port = str(ray.get_runtime_context().gcs_address).rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._silent_since: float | None = None

    def answers(self) -> bool:
        """Returns whether it does now. Raises `ConnectionError` once it has not for `PATIENCE_SECONDS`.

        This process then ends without Ray's own way of ending, which waits for the head and crashes without it.
        """
        try:
            socket.create_connection(self._address, timeout=_ANSWER_SECONDS).close()
        except OSError as error:
            self._silent_since = self._silent_since or time.monotonic()
            if time.monotonic() - self._silent_since < PATIENCE_SECONDS:
                return False
            atexit.register(_end)
            host, port = self._address
            raise ConnectionError(f"its head at {host}:{port} has not answered for {PATIENCE_SECONDS:g} s") from error
        self._silent_since = None
        return True


def _end() -> None:
    """Ends this process at once; what was registered before, as by Ray, is not called any more."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    os._exit(Interrupted.exit_status)
