"""What every fuzzed input is held to: it is refused on purpose or works, soon, in bounded memory, and stays inside."""

import faulthandler
import os
import random
import resource
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from foresight_cache.errors import ForesightError

SECONDS = 10.0
"""Longest that one input may take. A sound one takes a hundredth of it; other tests may share the processor."""
MEMORY = 2 << 30
"""Bytes by which one input may make the process grow."""
_CHANGES = {
    *("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("shutil.rmtree", "shutil.move", "shutil.copyfile", "os.utime", "os.exec", "subprocess.Popen", "os.system"),
}
"""Audit events of what changes a place, by path; `open` is told apart by its mode."""


def some(count: int) -> int:
    """Returns how many of so many inputs are tried: a quarter, or all where `FORESIGHT_FUZZ` is `all` (`make fuzz`)."""
    return count if os.environ.get("FORESIGHT_FUZZ") == "all" else -(-count // 4)


class TookTooLong(BaseException):
    """No `Exception`, so that no parser's own `except Exception` takes it for a finding about the input."""


class Trials:
    """A context for many inputs. `folder` is the only place that may change; a tree around it is watched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcomes: Counter[str] = Counter()
        self._inputs: set[object] = set()
        self._escapes: list[str] = []
        self._canary = folder.parent / "canary"
        for path in (self._canary / "planted", folder.parent / "zarr.json", folder.parent.parent / "zarr.json"):
            path.parent.mkdir(exist_ok=True)
            path.write_text("canary")
        self._around = self._surroundings()

    def __enter__(self) -> Self:
        self._limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_virtual_memory() + MEMORY, self._limits[1]))
        self._handler = signal.signal(signal.SIGALRM, _alarm)
        _WATCHERS.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _WATCHERS.remove(self)
        signal.signal(signal.SIGALRM, self._handler)
        resource.setrlimit(resource.RLIMIT_AS, self._limits)
        faulthandler.cancel_dump_traceback_later()
        if kind is None:
            print(f"{len(self._inputs):,} inputs: {dict(self.outcomes.most_common())}")
            TRIED.append(len(self._inputs))

    def run(self, label: object, action: Callable[[], Any], refusals: type[Exception] = ForesightError) -> Any:
        """What `action` returns, or the error that it raised on purpose; anything else fails with `label`."""
        self._inputs.add(label)
        # An alarm waits until C code returns to Python; what never does is ended from outside.
        faulthandler.dump_traceback_later(6 * SECONDS, exit=True, file=sys.__stderr__)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's, of files that are odd but can be read
                result = action()
        except refusals as error:
            result = error
        except (Exception, TookTooLong) as error:
            raise AssertionError(f"input {label}: {type(error).__name__}: {str(error)[:500]}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(result, Exception):
            assert 0 < len(str(result)) < 20_000, f"input {label}: a message that nobody can read"
        self.outcomes[type(result).__name__ if isinstance(result, Exception) else "accepted"] += 1
        assert not self._escapes, f"input {label} changed what is outside: {self._escapes}"
        return result

    def assert_nothing_outside_changed(self) -> None:
        """Judged by the files themselves, where `run` judges by what Python was asked to do."""
        assert self._surroundings() == self._around

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if not isinstance(path, str | bytes) or not written:
                return
        elif event not in _CHANGES:
            return
        for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink", "shutil.move") else 1]:
            if not Path(os.path.realpath(os.fsdecode(path))).is_relative_to(self.folder.resolve()):  # type: ignore[arg-type]
                self._escapes.append(f"{event} {arguments}")

    def _surroundings(self) -> dict[str, bytes | None]:
        top = self.folder.parent.parent
        return {
            str(path.relative_to(top)): path.read_bytes() if path.is_file() else None
            for path in sorted(top.rglob("*"))
            if not path.is_relative_to(self.folder)
        }


def generators(seed: int, count: int) -> Iterator[tuple[int, random.Random]]:
    """A number and a generator for each input, so that any one can be made again alone."""
    for number in range(count):
        yield number, random.Random(f"{seed} {number}")  # noqa: S311 - reproducible, not secret


TRIED: list[int] = []
"""Different inputs of each of the trials that passed."""
_WATCHERS: list[Trials] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    for watcher in _WATCHERS:
        watcher.watch(event, arguments)


sys.addaudithook(_audit)  # cannot be taken away again, so it is one, and idle without a watcher


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TookTooLong(f"more than {SECONDS} s")


def _virtual_memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@contextmanager
def put(path: Path, data: bytes) -> Iterator[None]:
    """A file with other content, for a while."""
    whole = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(whole)
