"""Ways in which a shard object can be damaged, and how reading it must say so."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from foresight_cache.format.shard_object import checksum


def flipped(data: bytes, byte: int) -> bytes:
    return data[:byte] + bytes([data[byte] ^ 1]) + data[byte + 1 :]


def without_a_sample(data: bytes) -> bytes:
    """An object whose index, sealed again, says that its second sample was never written."""
    index = np.frombuffer(data[-4 - 4 * 16 : -4], "<u8").copy()
    index[2:4] = 2**64 - 1
    return data[: -4 - 4 * 16] + index.tobytes() + checksum(index.tobytes())


DAMAGE: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "missing": (lambda _: None, "is missing although its shard is committed"),
    "truncated": (lambda data: data[:-7], r"has \d+ bytes, \d+ were committed"),
    "emptied": (lambda _: b"", r"has 0 bytes, \d+ were committed"),
    "too long": (lambda data: data + b"more", r"has \d+ bytes, \d+ were committed"),
    "a bit of a number": (lambda data: flipped(data, 300), "chunk 1 of .*llm.layer_01/c/1/0/0 fails its checksum"),
    "a bit of a checksum": (lambda data: flipped(data, 580), "chunk 1 of .*llm.layer_01/c/1/0/0 fails its checksum"),
    "a bit of the index": (lambda data: flipped(data, len(data) - 30), "the index of .* fails its checksum"),
    "a sample that the index lacks": (
        without_a_sample,
        "has no tokens of sample 1 of its shard|chunk 1 of .* is missing",
    ),
}


def damage(root: Path, kind: str) -> None:
    """Damages the object of samples 4 to 7 at `llm.layer_01`, chunks of 6 · 12 numbers and a checksum."""
    path = root / "llm.layer_01/c/1/0/0"
    data = DAMAGE[kind][0](path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)
