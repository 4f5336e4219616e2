"""How long a request is repeated that an object store refuses for now, and the pauses between two tries."""

import os
import random
import time

from foresight_cache.errors import UsageError

VARIABLE = "FORESIGHT_RETRY_SECONDS"
_LONGEST, _FIRST = 300.0, 15.0
"""Seconds for which a request is repeated, and for which the first one is: a wrong address never answers."""
PAUSES = (0.2, 10.0)
"""Seconds of the first pause and of the longest; each is twice as long as the one before, less a random part."""


def longest() -> float:
    """Returns for how many seconds requests are repeated. Raises `UsageError`."""
    text = os.environ.get(VARIABLE, "")
    try:
        return float(text) if text else _LONGEST
    except ValueError:
        raise UsageError(f"{VARIABLE} is {text!r}, expected seconds") from None


class Patience:
    """What is left for one request."""

    def __init__(self, *, first: bool) -> None:
        """`first` says that the store has never answered yet."""
        self._began, self._tries = time.monotonic(), 0
        self._seconds = min(_FIRST, longest()) if first else longest()

    @property
    def spent(self) -> float:
        """Seconds since the first try."""
        return time.monotonic() - self._began

    def wait(self) -> bool:
        """Waits for the next try; False at once where there is none any more."""
        first, most = PAUSES
        pause = random.uniform(0.5, 1) * min(most, first * 2**self._tries)  # noqa: S311 - so that many do not come at once
        if self.spent + pause > self._seconds:
            return False
        self._tries += 1
        time.sleep(pause)
        return True
