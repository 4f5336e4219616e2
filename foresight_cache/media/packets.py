"""Tells from a video's packets alone which of them hold a picture that is shown, and where only decoding tells."""

from collections.abc import Collection, Sequence
from itertools import islice

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from foresight_cache.errors import BadSample

Packets = Sequence["Packet[VideoStream]"]
"""Packets of a video in the order of decoding."""

_MOST_FRAMES = 1_000_000
_PICTURE_UNITS = {"h264": "1-5", "hevc": "0-31", "mpeg2video": "1-175"}
"""Types of the units of a packet that hold a picture, by codec, as FFmpeg's filter `filter_units` takes them."""
_NO_PICTURE = 1024
"""Bytes of the largest packet that is searched for a picture: what describes the stream is smaller."""
_ONE_PICTURE_EACH = {"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video"}
"""Codecs beside those of keyframes alone, of which a packet that `without_picture` does not name is one picture."""
_MPEG4_SKIPPED = 16
"""Bytes of the largest MPEG-4 packet that may say no more than that its picture was skipped."""
_EXACT = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "avi")
"""FFmpeg's names of the containers whose packets have times that can be relied upon; those of others may begin anew."""
_PROGRESSIVE = (0, 1)
"""FFmpeg's numbers of field orders, unknown and progressive, where no packet is half a picture."""


def read_packets(container: InputContainer, stream: VideoStream, size: int) -> Packets:
    """Returns the packets of a file of `size` bytes, those left out that are empty.

    Raises `FFmpegError`, and `BadSample` for too many of them or an index that leads beyond the end of the file. The
    container's own count is no sign: it has frames that an edit list takes away.
    """
    packets = list(islice((packet for packet in container.demux(stream) if packet.size), _MOST_FRAMES + 1))
    if len(packets) > _MOST_FRAMES:
        raise BadSample(f"the video has more than the {_MOST_FRAMES} frames that are counted")
    if "mov" in container.format.name:
        end = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
        if end > size:
            raise BadSample(f"the video is cut off: it has {size} of the {end} bytes that its index lists")
    return packets


def first_keyframe(packets: Packets) -> int:
    """Returns the position of the packet that decoding can begin with; 0 where none is marked as one."""
    return next((position for position, packet in enumerate(packets) if packet.is_keyframe), 0)


def without_picture(packets: Packets, stream: VideoStream) -> set[int]:
    """Returns the positions of packets that hold no picture, or one that is only built upon. Raises `FFmpegError`."""
    codec = stream.codec_context.codec.canonical_name
    if codec in _PICTURE_UNITS:
        pictures = BitStreamFilterContext(f"filter_units=pass_types={_PICTURE_UNITS[codec]}", stream)
        small = [position for position, packet in enumerate(packets) if packet.size <= _NO_PICTURE]
        return {position for position in small if not _passes(pictures, packets[position])}
    is_hidden = {"vp8": _is_hidden_vp8, "vp9": _is_hidden_vp9}.get(codec)
    return {position for position, packet in enumerate(packets) if is_hidden and is_hidden(memoryview(packet))}


def in_order_of_showing(packets: Packets, stream: VideoStream, pictureless: Collection[int]) -> list[int]:
    """Returns each shown packet's position, by time; none where times are missing or ambiguous."""
    if stream.container.format.name == "avi" and stream.codec_context.has_b_frames:
        return []  # avi has times of decoding only
    shown = [n for n, packet in enumerate(packets) if not packet.is_discard and n not in pictureless]
    times = {position: packets[position].pts for position in shown}
    if None in times.values() or len(set(times.values())) < len(shown):
        return []
    return sorted(shown, key=lambda position: times[position] or 0)


def need_decoding(packets: Packets, stream: VideoStream) -> bool:
    """Returns whether only decoding all packets tells which of them yield a picture."""
    codec = stream.codec_context.codec
    if stream.container.format.name not in _EXACT:
        return True
    if codec.intra_only:
        return False
    if not any(packet.is_keyframe for packet in packets):
        return True
    if codec.canonical_name not in _ONE_PICTURE_EACH or stream.codec_context.field_order not in _PROGRESSIVE:
        return True
    return codec.canonical_name == "mpeg4" and any(packet.size <= _MPEG4_SKIPPED for packet in packets)


def _passes(units: BitStreamFilterContext, packet: "Packet[VideoStream]") -> bool:
    """Returns whether the filter leaves anything of a packet; True where it cannot take it apart."""
    try:
        return bool(units.filter(av.Packet(bytes(packet))))  # a copy, as its content is taken away
    except FFmpegError:
        return True


def _is_hidden_vp8(data: memoryview) -> bool:
    """Reads the bit `show_frame` of RFC 6386, section 9.1."""
    return not data[0] & 0x10


def _is_hidden_vp9(data: memoryview) -> bool:
    """Reads `show_existing_frame` and `show_frame` of the VP9 bitstream's uncompressed header, section 6.2.

    Several pictures in one packet, which its last byte tells, are hidden ones before one that is shown.

    >>> [_is_hidden_vp9(memoryview(bytes([first, 0]))) for first in (0b10000100, 0b10000110, 0b10001000)]
    [True, False, False]
    """
    if data[-1] & 0xE0 == 0xC0 or data[0] & 0xF0 == 0xB0:  # the latter is profile 3, whose bits lie otherwise
        return False
    return not data[0] & 0x08 and not data[0] & 0x02
