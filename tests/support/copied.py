"""Copies of planted caches, and what is compared of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from foresight_cache import open_cache
from foresight_cache.copying.moving import planned
from foresight_cache.copying.parts import chosen_part
from foresight_cache.format.layout import CacheLayout
from foresight_cache.format.stores import LocalStore, open_writable
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from tests.support import planted


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def states(root: Path) -> dict[str, tuple[int, int]]:
    """Number and time of change of each file, which tell whether it was written again."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def pull(
    source: Path | Cache,
    folder: Path,
    points: str | None = None,
    shards: str | None = None,
    *,
    advance: Advance = silent,
    say: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Copies a part of a cache and returns what must be known of it."""
    cache = source if isinstance(source, Cache) else open_cache(source)
    move = planned(cache, open_writable(folder), chosen_part(cache, points, shards))
    remarks = move.remarks
    move.run(advance, say)
    return remarks


def write_other_bits(root: Path, plan: CacheLayout) -> None:
    """Writes the same samples with other numbers, as another kind of GPU would."""
    real = planted.values

    def changed(slot: int, tokens: int, layout: Any) -> np.ndarray:
        numbers = real(slot, tokens, layout)
        return numbers if layout.dtype == "uint8" else (numbers * 2).astype(numbers.dtype)

    planted.values = changed  # type: ignore[assignment]
    try:
        planted.write(root, plan)
    finally:
        planted.values = real


def flip(path: Path, byte: int = 300) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


class Watched(LocalStore):
    """Counts the bytes of objects that are read, by key, and may garble the first reading of each."""

    def __init__(self, root: Path, *, garbles: Sequence[str] = ()) -> None:
        super().__init__(root)
        self.read_bytes: dict[str, int] = {}
        self._garbles, self._lock = list(garbles), Lock()

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        size, read = super().ranges(key)

        def watched(start: int, stop: int) -> Any:
            data = bytearray(read(start, stop))
            with self._lock:
                self.read_bytes[key] = self.read_bytes.get(key, 0) + len(data)
                if key in self._garbles:
                    self._garbles.remove(key)
                    data[0] ^= 1
            return bytes(data)

        return size, watched


def of_other(root: Path, **model: str) -> Mapping[str, object]:
    """Writes a planted cache of another model and returns its fingerprint."""
    plan = planted.plan(planted.fixed_points(), **model)
    planted.write(root, plan)
    return plan.fingerprint
