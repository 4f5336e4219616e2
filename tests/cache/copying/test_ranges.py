"""Objects come in order, whole, with a bound on what is asked for at once."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.copying import ranges
from foresight_cache.copying.ranges import AT_ONCE, RangeReader
from foresight_cache.errors import CacheError
from foresight_cache.format.stores import LocalStore


class Slow(LocalStore):
    """Each range takes a moment; the number of those under way, or read and not yet consumed, is watched."""

    def __init__(self, root: Path, fails_at: int | None = None) -> None:
        super().__init__(root)
        self.lock, self.now, self.most, self.fails_at = threading.Lock(), 0, 0, fails_at

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        size, read = super().ranges(key)

        def slow(start: int, stop: int) -> Any:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.002)
            with self.lock:
                self.now -= 1
            if start == self.fails_at:
                raise CacheError("the store has gone")
            return read(start, stop)

        return size, slow


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 14, 699, 700, 701])
def test_all_bytes_come_in_order(tmp_path: Path, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    (tmp_path / "object").write_bytes(data)
    with RangeReader(7) as reader:
        blocks = list(reader.blocks(LocalStore(tmp_path), "object"))
    assert b"".join(blocks) == data
    assert all(len(block) == 7 for block in blocks[:-1])


def test_many_objects_at_once_share_the_bound(tmp_path: Path) -> None:
    objects = {f"object-{number}": bytes([number]) * 700 for number in range(12)}
    for key, data in objects.items():
        (tmp_path / key).write_bytes(data)
    store = Slow(tmp_path)
    with RangeReader(7) as reader, ThreadPoolExecutor(len(objects)) as threads:
        found = dict(zip(objects, threads.map(lambda key: b"".join(reader.blocks(store, key)), objects), strict=True))
    assert found == objects
    assert ranges.AHEAD < store.most <= AT_ONCE, "many at once, of several objects, and no more than there is room for"


def test_who_gives_up_gives_back_its_room(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(bytes(700))
    with RangeReader(7) as reader:
        for _ in range(3 * AT_ONCE):
            next(iter(reader.blocks(LocalStore(tmp_path), "object")))
        for _ in range(3 * AT_ONCE):
            with pytest.raises(CacheError, match="gone"):
                list(reader.blocks(Slow(tmp_path, fails_at=21), "object"))
        assert len(b"".join(reader.blocks(LocalStore(tmp_path), "object"))) == 700


def test_a_missing_object(tmp_path: Path) -> None:
    with RangeReader() as reader, pytest.raises(FileNotFoundError):
        list(reader.blocks(LocalStore(tmp_path), "object"))
