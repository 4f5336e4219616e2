"""Checks that a video file is whole, by the sizes its outermost boxes claim: decoders pass over what is cut off."""

from collections.abc import Iterator

from foresight_cache.errors import BadSample

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def refuse_cut_off(data: bytes) -> None:
    """Raises `BadSample` for an mp4, webm or avi file that is shorter than it says; others are not judged.

    >>> refuse_cut_off(b"RIFF" + (100).to_bytes(4, "little") + b"AVI " + bytes(20))
    Traceback (most recent call last):
    foresight_cache.errors.BadSample: the video is cut off: it has 32 of the 108 bytes that it claims
    """
    if data[:4] == b"RIFF":
        claimed = max(_riff_ends(data), default=0)
    elif data[4:8] == b"ftyp":
        claimed = max(_box_ends(data), default=0)
    elif data[:4] == _EBML.to_bytes(4, "big"):
        claimed = max(_ebml_ends(data), default=0)
    else:
        return
    if claimed > len(data):
        raise BadSample(f"the video is cut off: it has {len(data)} of the {claimed} bytes that it claims")


def _riff_ends(data: bytes) -> Iterator[int]:
    """Ends of the chunks of an avi file; a large one has several."""
    position = 0
    while data[position : position + 4] == b"RIFF" and position + 8 <= len(data):
        position += 8 + int.from_bytes(data[position + 4 : position + 8], "little")
        yield position


def _box_ends(data: bytes) -> Iterator[int]:
    """Ends of the boxes of an mp4 file; a size of 1 says that the size follows, 0 that the box is the last."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < 8 or not data[position + 4 : position + 8].isalnum():
            return  # what follows is no box
        position += size
        yield position


def _ebml_ends(data: bytes) -> Iterator[int]:
    """Ends of the header and the segment of a webm file; a segment that was streamed does not know its size."""
    position = 0
    for expected in (_EBML, _SEGMENT):
        if int.from_bytes(data[position : position + 4], "big") != expected:
            return
        position += 4
        length = 9 - data[position : position + 1].ljust(1, b"\1")[0].bit_length()
        size = int.from_bytes(data[position : position + length], "big") & ((1 << 7 * length) - 1)
        if size == (1 << 7 * length) - 1:
            return
        position += length + size
        yield position
