"""Memory that is used again: never while somebody still looks at it."""

from pathlib import Path

import pytest

from foresight_cache.preparation import arenas
from foresight_cache.preparation.arenas import Arena, ArenaPool


def write(folder: Path, *sizes: int) -> list[Path]:
    paths = [folder / str(number) for number in range(len(sizes))]
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        path.write_bytes(bytes([number + 1]) * size)
    return paths


def test_files_are_read_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also an empty one, and those for which there is no room."""
    monkeypatch.setattr(arenas, "ARENA_SIZE", 100)
    arena = Arena()
    paths = write(tmp_path, 40, 0, 50, 10, 9, 200)
    contents = [arena.read(path) for path in paths]
    assert [bytes(content) for content in contents] == [path.read_bytes() for path in paths]
    assert [isinstance(content, memoryview) for content in contents] == [True, False, True, False, True, False]
    with pytest.raises(FileNotFoundError):
        arena.read(tmp_path / "no")


def test_memory_is_used_again_only_when_it_is_given_back(tmp_path: Path) -> None:
    pool = ArenaPool()
    (path,) = write(tmp_path, 40)
    arena = pool.acquire()
    content = arena.read(path)
    assert pool.acquire() is not arena
    assert bytes(content) == path.read_bytes()
    pool.give_back(arena)
    assert pool.acquire() is arena
