"""Kills forked processes, each at an instant of its own."""

import os
import signal
import time
from collections.abc import Mapping


def kill_each(instants: Mapping[int, float]) -> int:
    """Kills processes so many seconds from now; returns how many were still at work."""
    begun = time.monotonic()
    killed = 0
    for process, instant in sorted(instants.items(), key=lambda item: item[1]):
        time.sleep(max(0.0, begun + instant - time.monotonic()))
        os.kill(process, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(process, 0)[1])
    return killed
