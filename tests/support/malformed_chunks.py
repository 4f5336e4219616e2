"""Decodes malformed chunks, as from a hostile program, between pages of memory that may not be touched.

    python -m tests.support.malformed_chunks SEED COUNT

A read or a write past either end ends the process. What is decoded must not depend on what the buffer held before.
"""

import ctypes
import json
import mmap
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from foresight_cache.format.codecs import CODECS, ChunkCodec, chunk_codec

HEADER = 16
_WORDS = (0, 1, 15, 16, 2**31 - 1, 2**31, 2**32 - 1)
_SIZES = ((2, 50), (2, 240), (2, 6000), (2, 400_000), (4, 90_000), (1, 70_000))
"""Bytes and number of items."""


def malformed(data: bytes, generator: random.Random) -> bytes:
    """Returns a compressed chunk with a fault of a random kind; its header may be a consistent one."""
    return generator.choice(_FAULTS)(bytearray(data), generator)


def _flipped(data: bytearray, generator: random.Random) -> bytes:
    for _ in range(generator.randint(1, 8)):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return bytes(data)


def _other_header(data: bytearray, generator: random.Random) -> bytes:
    for _ in range(generator.randint(1, 3)):
        data[generator.randrange(HEADER)] = generator.choice((0, 1, 2, 4, 16, 127, 128, 255, generator.randrange(256)))
    return bytes(data)


def _other_sizes(data: bytearray, generator: random.Random) -> bytes:
    at = generator.choice((4, 8, 12))
    data[at : at + 4] = generator.choice((*_WORDS, len(data), generator.randrange(2**20))).to_bytes(4, "little")
    return bytes(data)


def _fewer_blocks(data: bytearray, generator: random.Random) -> bytes:
    """Says that there are fewer blocks, so that a buffer would not be filled."""
    raw, block = (int.from_bytes(data[at : at + 4], "little") for at in (4, 8))
    data[4:8] = (block * generator.randint(1, max(1, raw // block - 1))).to_bytes(4, "little")
    return bytes(data)


def _other_starts(data: bytearray, generator: random.Random) -> bytes:
    """Changes the table of where blocks begin, and what follows it."""
    at = HEADER + 4 * generator.randrange(max(1, min(64, (len(data) - HEADER) // 4)))
    word = generator.choice((*_WORDS, len(data) - 4, len(data) - 1, generator.randrange(2 * len(data))))
    data[at : at + 4] = word.to_bytes(4, "little")
    return _consistent(data)


def _noise(data: bytearray, generator: random.Random) -> bytes:
    start, stop = sorted(generator.randrange(HEADER, len(data) + 1) for _ in range(2))
    data[start:stop] = generator.randbytes(stop - start)
    return bytes(data)


def _cut_off(data: bytearray, generator: random.Random) -> bytes:
    return _consistent(data[: generator.randrange(HEADER + 1, len(data) + 1)])


def _moved(data: bytearray, generator: random.Random) -> bytes:
    start, stop = sorted(generator.randrange(HEADER, len(data)) for _ in range(2))
    place = generator.randrange(HEADER, len(data))
    count = min(stop - start, len(data) - place)
    data[place : place + count] = data[start : start + count]
    return _consistent(data)


def _consistent(data: bytearray) -> bytes:
    """Writes into the header how many bytes there are."""
    data[12:16] = len(data).to_bytes(4, "little")
    return bytes(data)


_FAULTS: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    *(_flipped, _other_header, _other_sizes, _fewer_blocks, _other_starts, _noise, _cut_off, _moved),
)


def guarded(size: int) -> memoryview:
    """Returns memory of whole pages between two that may not be touched."""
    pages = -(-size // mmap.PAGESIZE)
    region = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(region))
    for page in (first, first + (pages + 1) * mmap.PAGESIZE):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, 0) == 0
    return memoryview(region)[mmap.PAGESIZE : (pages + 1) * mmap.PAGESIZE]


def chunks(generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields chunks of each size of item: of features, of features that hardly differ, and of noise."""
    for item, count in _SIZES:
        for spread in (1.0, 0.01):
            numbers = (spread * generator.normal(size=count)).astype(np.float32)
            whole = {4: numbers.view("u4"), 2: (numbers.view("u4") >> 16).astype("u2"), 1: (20 * numbers).astype("i1")}
            yield whole[item].view(f"u{item}")
        yield generator.integers(0, 256, count * item, dtype=np.uint8).view(f"u{item}")


def tried(codec: ChunkCodec, truth: bytes, count: int, generator: random.Random) -> Iterator[str]:
    """Yields what became of each of so many malformed chunks."""
    source, target = guarded(codec.longest + mmap.PAGESIZE), guarded(codec.size)
    whole = bytes(codec.encode(np.frombuffer(truth, np.uint8)))
    for _ in range(count):
        bad = malformed(whole, generator)
        stored, out = source[len(source) - len(bad) :], target[len(target) - codec.size :]
        stored[:] = bad
        outcomes = {_decoded(codec, stored, out, before) for before in (0, 255)}
        assert len(outcomes) == 1, "what is decoded depends on what the buffer held"
        (found,) = outcomes
        yield "refused" if found is None else "the same" if found == truth else "other numbers"


def _decoded(codec: ChunkCodec, stored: memoryview, out: memoryview, before: int) -> bytes | None:
    np.frombuffer(out, np.uint8)[:] = before
    try:
        codec.decode(stored, out)
    except ValueError:
        return None
    return bytes(out)


def main(seed: int, count: int) -> None:
    """Prints how often chunks were refused, or decoded to the same or to other numbers, by codec."""
    generator = random.Random(seed)  # noqa: S311 - reproducible, not secret
    outcomes: dict[str, Counter[str]] = {}
    for name in CODECS[1:]:
        outcomes[name] = Counter()
        for values in chunks(np.random.default_rng(seed)):
            codec = chunk_codec(name, values.itemsize, values.nbytes)
            few = count if values.nbytes < 20_000 else max(1, count // 20)
            outcomes[name].update(tried(codec, values.tobytes(), few, generator))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
