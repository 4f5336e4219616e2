"""A cache in an object store, or wherever else fsspec can read."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import fsspec

from foresight_cache.errors import CacheError, MissingExtra, UsageError


class ObjectStore:
    """An object store, such as `s3://bucket/prefix`; settings come from the environment (`FSSPEC_S3_…`, `AWS_…`)."""

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
        path = f"{self._prefix}/{key}"

        def read(start: int, stop: int) -> Any:
            with self._reached():
                return self._files.cat_file(path, start=start, end=stop)

        with self._reached():
            return int(self._files.size(path)), read

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        stop = start + sum(map(len, buffers))
        with self._reached():
            data = memoryview(self._files.cat_file(f"{self._prefix}/{key}", start=start, end=stop))
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
        self._files.invalidate_cache(self._prefix)
        with self._reached():
            entries = self._files.find(self._prefix, detail=True)
        return {path.removeprefix(f"{self._prefix}/"): int(entry["size"]) for path, entry in entries.items()}

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Raises `CacheError` where the store cannot be reached, or wants credentials that are not there."""
        try:
            yield
        except _unreachable() as error:
            reason = str(error).rstrip(".")
            raise CacheError(
                f"{self.place} cannot be reached: {reason}; check its address and your credentials"
            ) from None


def _connected(url: str) -> tuple[Any, str]:
    """Returns the client for a URL and the path in it. Raises `MissingExtra` and `UsageError`."""
    try:
        files, prefix = fsspec.core.url_to_fs(url)
    except ImportError:
        raise MissingExtra("s3fs", extra="s3", purpose=f"reading {url}") from None
    except ValueError as error:
        raise UsageError(
            f"{url} cannot be opened: {error}; expected a local path or a URL such as s3://bucket/prefix"
        ) from None
    return files, prefix


def _unreachable() -> tuple[type[Exception], ...]:
    """Errors of the S3 client that are no `OSError`."""
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return ()
    return (BotoCoreError,)
