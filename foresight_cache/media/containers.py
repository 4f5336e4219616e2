"""Checks that a video file is whole, by the sizes its outermost boxes claim: decoders pass over what is cut off."""

from collections.abc import Iterator

from foresight_cache.errors import BadSample

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
"""Identifier of the first object of an asf file."""


def refuse_cut_off(data: bytes) -> None:
    """Raises `BadSample` for an mp4, webm, avi, flv, asf or gif file that is shorter than it says.

    Others, which are streams of packets that may begin and end anywhere, are not judged.

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
    elif data[:3] == b"FLV":
        claimed = max(_flv_ends(data), default=0)
    elif data[:16] == _ASF:
        claimed = max(_asf_ends(data), default=0)
    elif data[:4] == b"GIF8" and not data.rstrip(b"\0\r\n ").endswith(b";"):
        raise BadSample("the animation is cut off: it does not end as a gif ends")
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


def _flv_ends(data: bytes) -> Iterator[int]:
    """Ends of the tags of an flv file, each with the size of the one before it."""
    position = int.from_bytes(data[5:9], "big") + 4
    while position + 11 <= len(data):
        position += 11 + int.from_bytes(data[position + 1 : position + 4], "big") + 4
        yield position
    if position < len(data):
        yield position + 11


def _asf_ends(data: bytes) -> Iterator[int]:
    """Ends of the outermost objects of an asf file, also called wmv."""
    position = 0
    while position + 24 <= len(data):
        size = int.from_bytes(data[position + 16 : position + 24], "little")
        if size < 24:
            return  # a stream that does not know its size
        position += size
        yield position
