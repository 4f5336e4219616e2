"""A cache wherever else fsspec can read: `https://`, `hf://`, `memory://` and what other packages add."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import fsspec

from foresight_cache.errors import CacheError, UsageError


class FsspecStore:
    """What lies below a URL that is no object store's; settings come from the environment (`FSSPEC_…`)."""

    reads_at_once = 1

    def __init__(self, url: str) -> None:
        self.place = url
        self._client, self._prefix = _connected(url)
        self._process = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.place,)

    @property
    def _files(self) -> Any:
        """The client, which does not survive a fork: each process has its own."""
        if self._process != os.getpid():
            self._client, _ = _connected(self.place)
            self._process = os.getpid()
        return self._client

    def read(self, key: str) -> bytes:
        with self._reached():
            return bytes(self._files.cat_file(f"{self._prefix}/{key}"))

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        with self._reached():
            return int(self._files.size(f"{self._prefix}/{key}")), partial(self._range, key)

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        data = memoryview(self._range(key, start, start + sum(map(len, buffers))))
        filled = 0
        for buffer in buffers:
            part = data[filled : filled + len(buffer)]
            buffer[: len(part)] = part
            filled += len(part)
        return filled

    def names(self, key: str) -> list[str]:
        try:
            with self._reached():
                entries = self._files.ls(f"{self._prefix}/{key}", detail=True)
        except FileNotFoundError:
            return []
        return sorted(os.path.basename(entry["name"]) for entry in entries if entry["type"] == "file")  # noqa: PTH119 - a URL

    def sizes(self) -> dict[str, int]:
        with self._reached():
            self._files.invalidate_cache(self._prefix)
            entries = self._files.find(self._prefix, detail=True)
        return {path.removeprefix(f"{self._prefix}/"): int(entry["size"]) for path, entry in entries.items()}

    def _range(self, key: str, start: int, stop: int) -> Any:
        with self._reached():
            data = self._files.cat_file(f"{self._prefix}/{key}", start=start, end=stop)
        if len(data) > stop - start:
            raise CacheError(
                f"{self.place} gives whole objects only, where parts of them are asked for; use a server that answers "
                "to ranges, or copy the cache to a local directory"
            )
        return data

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Raises `CacheError` for whatever else goes wrong in a client than that an object is missing."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except Exception as error:  # each of fsspec's clients has errors of its own
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise CacheError(f"{self.place} cannot be read: {reason}; check its address and your rights") from None


def _connected(url: str) -> tuple[Any, str]:
    """Returns the client for a URL and the path in it. Raises `UsageError`."""
    try:
        files, prefix = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(f"{url} cannot be opened: {error}") from None
    except ValueError as error:
        raise UsageError(
            f"{url} cannot be opened: {error}; expected a local path or a URL such as s3://bucket/prefix"
        ) from None
    return files, prefix
