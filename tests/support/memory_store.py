"""A store in memory that loses answers: what an object store does, as far as the writers of a cache can see."""

import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foresight_cache.format.layout import PARTIAL
from foresight_cache.runtime.disk_space import Room


class Lost(Exception):
    """The answer to a request never came: it may have been done or not."""


class Refused(Exception):
    """The condition of a request does not hold."""


@dataclass
class Bucket:
    """Objects by key, with tags that change with each write, and claims."""

    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    claims: dict[str, "MemoryClaim"] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    """Keys that were written since somebody looked."""
    writes: int = 0

    def put(self, key: str, content: bytes) -> None:
        self.writes += 1
        self.objects[key] = content, self.writes
        self.changed.add(key)


@dataclass
class MemoryClaim:
    name: str
    scratch: Path
    bucket: Bucket
    step: Callable[[], None]
    is_dead: Callable[[], bool]

    def renew(self) -> bool:
        return self.bucket.claims.get(self.name) is self

    def release(self) -> None:
        self.step()
        if self.renew():
            del self.bucket.claims[self.name]
        shutil.rmtree(self.scratch, ignore_errors=True)


class MemoryWritableStore:
    """One worker's client of a bucket: each request is a step, and may lose its answer."""

    place = "memory://cache"
    reads_at_once = 1

    def __init__(
        self,
        bucket: Bucket,
        scratch: Path,
        *,
        step: Callable[[], None] = lambda: None,
        is_dead: Callable[[], bool] = lambda: False,
        generator: random.Random | None = None,
        lost: float = 0.0,
        taken_over: float = 0.0,
    ) -> None:
        """`lost` is the share of answers that get lost, `taken_over` of claims that are taken from the living."""
        self.bucket, self._scratch, self._step, self._is_dead = bucket, scratch, step, is_dead
        self._generator = generator or random.Random(0)  # noqa: S311 - chance, no secret
        self._lost, self._taken_over = lost, taken_over

    def read(self, key: str) -> bytes:
        return self._get(key)[0]

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        data, _ = self._get(key)
        return len(data), lambda start, stop: data[start:stop]

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        raise NotImplementedError

    def names(self, key: str) -> list[str]:
        below = (name.removeprefix(f"{key}/") for name in self.bucket.objects if name.startswith(f"{key}/"))
        return sorted(name for name in below if "/" not in name)

    def sizes(self) -> dict[str, int]:
        self._step()
        return {key: len(data) for key, (data, _) in self.bucket.objects.items() if not key.startswith(PARTIAL)}

    def children(self, key: str) -> set[str]:
        self._step()
        prefix = f"{key}/" if key else ""
        return {name.removeprefix(prefix).split("/")[0] for name in self.bucket.objects if name.startswith(prefix)}

    def create(self, key: str, content: Path | bytes) -> bool:
        data = _bytes(content)
        while True:
            try:
                self._put(key, data, None)
            except (Lost, Refused):
                try:
                    return self._get(key)[0] == data
                except FileNotFoundError:
                    continue
            return True

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        while True:
            try:
                there, tag = self._get(key)
                if there != old:
                    return there == new
                self._put(key, new, tag)
            except FileNotFoundError:
                return False
            except (Lost, Refused):
                continue
            return True

    def tag(self, key: str) -> str:
        return str(self._get(key)[1])

    def replace(self, key: str, tag: str, content: Path | bytes) -> bool:
        data = _bytes(content)
        try:
            self._put(key, data, int(tag))
        except (Lost, Refused):
            return False
        return True

    def claim(self, name: str) -> MemoryClaim | None:
        self._step()
        holder = self.bucket.claims.get(name)
        if holder and not holder.is_dead() and self._generator.random() >= self._taken_over:
            return None
        scratch = Path(tempfile.mkdtemp(dir=self._scratch))
        self.bucket.claims[name] = MemoryClaim(name, scratch, self.bucket, self._step, self._is_dead)
        return self.bucket.claims[name]

    def sweep(self) -> None:
        pass

    def check_writable(self) -> None:
        pass

    def room(self) -> Room | None:
        return None

    def _get(self, key: str) -> tuple[bytes, int]:
        self._step()
        if key not in self.bucket.objects:
            raise FileNotFoundError(key)
        return self.bucket.objects[key]

    def _put(self, key: str, data: bytes, tag: int | None) -> None:
        """Puts an object that is not there yet, or has a tag; some answers get lost, before or after it is done."""
        self._step()
        fate = self._generator.random()
        if fate < self._lost / 2:
            raise Lost
        if self.bucket.objects.get(key, (b"", None))[1] != tag:
            raise Refused
        self.bucket.put(key, data)
        if fate < self._lost:
            raise Lost


class OverwritingStore(MemoryWritableStore):
    """A store whose writers overwrite: what must not be done, so that the tests can be seen to fail."""

    def create(self, key: str, content: Path | bytes) -> bool:
        self._step()
        self.bucket.put(key, _bytes(content))
        return True

    def swap(self, key: str, old: bytes, new: bytes) -> bool:  # noqa: ARG002 - it does not care what was there
        return self.create(key, new)


def contents(bucket: Bucket) -> Mapping[str, bytes]:
    return {key: data for key, (data, _) in bucket.objects.items()}


def _bytes(content: Path | bytes) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content
