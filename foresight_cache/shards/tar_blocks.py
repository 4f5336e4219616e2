"""The blocks of a tar of plain files with a fixed owner and no time: the same files give the same bytes.

Headers are those of `tarfile`. Its own writing copies every member in small pieces, which costs more than the disk.
"""

import tarfile

_LONGEST = 100
"""Bytes of a name for which every reader looks in one place."""


def header(name: str, size: int) -> bytes:
    """Returns the block before a member's bytes. Raises `ValueError` for a name or a size that it has no room for.

    >>> len(header("000000000.jpg", 12)), header("000000000.jpg", 12)[:14]
    (512, b'000000000.jpg\\x00')
    """
    if not 0 < len(name) < _LONGEST or size < 0:
        raise ValueError(f"a member {name!r} of {size} bytes does not fit a tar's header")
    if size >= _MOST_DIGITS or not name.isascii():
        return _stdlib_header(name, size)
    block = bytearray(_TEMPLATE)
    block[: len(name)] = name.encode("ascii")
    block[124:136] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _stdlib_header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    member.uname = member.gname = "foresight"
    return member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


_TEMPLATE = _stdlib_header("", 0)
_MOST_DIGITS = 8**11


def padding(size: int) -> bytes:
    """Returns the zeros after a member of this many bytes.

    >>> len(padding(12)), len(padding(512)), len(padding(0))
    (500, 0, 0)
    """
    return bytes(-size % tarfile.BLOCKSIZE)


def ending(size: int) -> bytes:
    """Returns the zeros that end a tar whose members take so many bytes.

    >>> len(ending(1024)), len(ending(10_240))
    (9216, 10240)
    """
    least = 2 * tarfile.BLOCKSIZE
    return bytes(least + -(size + least) % tarfile.RECORDSIZE)
