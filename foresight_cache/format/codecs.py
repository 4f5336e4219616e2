"""What is done to the bytes of a chunk before they are stored: nothing, or Zarr's own codec `blosc`.

The names below and their settings are part of the cache format for ever; other settings get another name.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np

CodecName = Literal["none", "lz4", "zstd", "small"]
CODECS: tuple[CodecName, ...] = get_args(CodecName)

_HEADER = struct.Struct("<BBBBIII")
"""Header of blosc 1: versions of format and compressor, flags, item size; then bytes raw, of a block, compressed."""
_FORMAT = 2
_COMPRESSORS = {"lz4": 1, "zstd": 4}
"""Numbers of compressors in the upper three bits of the flags."""
_SHUFFLES = {"shuffle": 1, "bitshuffle": 4}
"""Bits of the flags, by what Zarr calls the shuffle."""
_COPIED = 2
"""Bit of the flags that says that the bytes are as they were, since they did not become fewer."""
MOST_BYTES = 2**31 - 1 - _HEADER.size
"""Bytes of the largest chunk that blosc takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Configuration of blosc, but for the size of an item."""

    compressor: str
    level: int
    level_of_few: int
    """Level for chunks of fewer bytes than `FEW`."""
    shuffle: str
    block: int
    """Bytes that are compressed by themselves; 0 leaves it to blosc."""
    typical: float
    """Bytes stored for each raw byte of real bfloat16 features, for estimates where nothing was measured yet."""


SETTINGS: Mapping[str, Settings] = {
    "lz4": Settings(compressor="lz4", level=5, level_of_few=5, shuffle="bitshuffle", block=0, typical=0.75),
    "zstd": Settings(compressor="zstd", level=1, level_of_few=3, shuffle="bitshuffle", block=256 * 1024, typical=0.72),
    "small": Settings(compressor="zstd", level=1, level_of_few=3, shuffle="shuffle", block=512 * 1024, typical=0.68),
}
FEW = 256 * 1024
"""Bytes of two planes of zstd's own blocks of 128 KiB, each of which has codes of its own.

Level 1, which hardly looks for repetitions, makes more of shuffled planes than higher levels do where it can give each
plane such codes; where it cannot, a higher level is better.
"""


class ChunkCodec(Protocol):
    """The codec of all chunks of a point, which have one size."""

    name: CodecName
    size: int
    """Bytes of a chunk before it is encoded."""
    is_plain: bool
    """True where the stored bytes are the chunk's own."""
    shortest: int
    """Least bytes of a stored chunk, without its checksum."""
    longest: int
    typical: float
    """Bytes stored for each raw byte, for estimates."""

    def zarr(self) -> list[dict[str, Any]]:
        """Returns the entries of Zarr's chain of codecs between `bytes` and `crc32c`."""
        ...

    def encode(self, values: np.ndarray) -> memoryview:
        """Returns the bytes to be stored of a C-contiguous chunk of the stored type, whatever the number of threads."""
        ...

    def check(self, stored: memoryview) -> None:
        """Raises `ValueError` where stored bytes do not begin as this codec's chunks of this size do."""
        ...

    def decode(self, stored: memoryview, out: memoryview) -> None:
        """Writes a chunk into a buffer of just its size. Raises `ValueError` for bytes that are not one."""
        ...


def as_bytes(values: np.ndarray) -> memoryview:
    """Returns the bytes of a C-contiguous array as they are."""
    return values.reshape(-1).view(np.uint8).data


class Plain:
    """Chunks as they are."""

    name: CodecName = "none"
    is_plain = True
    typical = 1.0

    def __init__(self, size: int) -> None:
        self.size = self.shortest = self.longest = size

    def zarr(self) -> list[dict[str, Any]]:
        return []

    def encode(self, values: np.ndarray) -> memoryview:
        return as_bytes(values)

    def check(self, stored: memoryview) -> None:
        if len(stored) != self.size:
            raise ValueError(f"it has {len(stored)} bytes, expected {self.size}")

    def decode(self, stored: memoryview, out: memoryview) -> None:
        self.check(stored)
        out[:] = stored


class Blosc:
    """Chunks that blosc compressed, one call and one thread for each."""

    is_plain = False

    def __init__(self, name: CodecName, item_size: int, size: int) -> None:
        self.name, self.item_size, self.size = name, item_size, size
        self.settings = SETTINGS[name]
        self.level = self.settings.level_of_few if size < FEW else self.settings.level
        self.typical = self.settings.typical
        self.shortest, self.longest = _HEADER.size, size + _HEADER.size

    def zarr(self) -> list[dict[str, Any]]:
        configuration = {
            "typesize": self.item_size,
            "cname": self.settings.compressor,
            "clevel": self.level,
            "shuffle": self.settings.shuffle,
            "blocksize": self.settings.block,
        }
        return [{"name": "blosc", "configuration": configuration}]

    def encode(self, values: np.ndarray) -> memoryview:
        blosc, settings = _blosc(), self.settings
        items = values.reshape(-1).view(f"u{self.item_size}")
        shuffle = {"shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}[settings.shuffle]
        name = settings.compressor.encode()
        return memoryview(blosc.compress(items, name, self.level, shuffle, settings.block))

    def check(self, stored: memoryview) -> None:
        """blosc itself believes the header: where that tells of fewer raw bytes, a buffer keeps what it held."""
        if len(stored) < _HEADER.size:
            raise ValueError(f"it has {len(stored)} bytes, too few for a header of blosc")
        version, _, flags, item_size, raw, block, compressed = _HEADER.unpack_from(stored)
        if version != _FORMAT:
            raise ValueError(f"it is of blosc's format {version}, expected {_FORMAT}")
        if (raw, compressed) != (self.size, len(stored)):
            raise ValueError(
                f"it says that it has {compressed} bytes of {raw} raw ones, expected {len(stored)} of {self.size}"
            )
        compressor, shuffle = flags >> 5, flags & sum(_SHUFFLES.values())
        expected = (self.item_size, _COMPRESSORS[self.settings.compressor], _SHUFFLES[self.settings.shuffle])
        if (item_size, compressor, shuffle) != expected or not 0 < block <= max(raw, self.settings.block):
            raise ValueError("it was compressed with other settings than the cache's")
        if flags & _COPIED and compressed != raw + _HEADER.size:
            raise ValueError(f"it says that it holds {raw} bytes as they were, and has {compressed}")

    def decode(self, stored: memoryview, out: memoryview) -> None:
        self.check(stored)
        if len(out) != self.size:
            raise ValueError(f"its buffer has {len(out)} bytes, expected {self.size}")
        try:
            _blosc().decompress(stored, out)
        except RuntimeError as error:
            raise ValueError(str(error)) from None


def chunk_codec(name: CodecName, item_size: int, size: int) -> ChunkCodec:
    """Returns the codec of a name for chunks of `size` bytes, of items of so many bytes."""
    return Plain(size) if name == "none" else Blosc(name, item_size, size)


def _blosc() -> Any:
    """Returns numcodecs' blosc, set to one thread as Zarr sets it.

    Several would write the blocks of a chunk in the order in which they were finished, and share one lock; callers
    have threads of their own, and blosc gives Python's lock away.
    """
    from numcodecs import blosc

    blosc.use_threads = False
    return blosc
