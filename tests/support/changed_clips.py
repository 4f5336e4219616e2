"""Clips whose packets or edit list were changed after encoding, as cutters, phones and recorders leave them."""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
import numpy as np

from tests.support.made_clips import Pixels


@dataclass(frozen=True)
class PlainPacket:
    """Content and times of a packet, in the stream's time base."""

    data: bytes
    pts: int | None
    dts: int | None
    is_keyframe: bool


def repacked(
    data: bytes, change: Callable[[list[PlainPacket]], list[PlainPacket]], container: str = "matroska"
) -> bytes:
    """The clip in another container, with what `change` makes of its packets, which it is given in decoding order."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, mode="w", format=container) as out:
        stream = source.streams.video[0]
        copy: Any = out.add_stream_from_template(stream)
        copy.time_base = stream.time_base
        packets = [PlainPacket(bytes(p), p.pts, p.dts, p.is_keyframe) for p in source.demux(stream) if p.size]
        for each in change(packets):
            packet = av.Packet(each.data)
            packet.pts, packet.dts, packet.is_keyframe = each.pts, each.dts, each.is_keyframe
            packet.time_base, packet.stream = stream.time_base, copy
            out.mux(packet)
    return file.getvalue()


def with_packet_before(packets: Sequence[PlainPacket], place: int, data: bytes) -> list[PlainPacket]:
    """The packets with a further one, shown and decoded halfway between two others."""
    before, after = packets[place - 1], packets[place]
    times = [
        (a + b) // 2 for a, b in ((before.pts, after.pts), (before.dts, after.dts)) if a is not None and b is not None
    ]
    added = replace(after, data=data, pts=times[0], dts=times[1], is_keyframe=False)
    return [*packets[:place], added, *packets[place:]]


def with_edits(data: bytes, *edits: tuple[float, float | None]) -> bytes:
    """An mp4, its index last, whose edit list shows so many frames from such a one, or as long nothing.

    Numbers of frames may be fractions.
    """
    with av.open(io.BytesIO(data)) as opened:
        stream = opened.streams.video[0]
        rate, base = Fraction(stream.average_rate or 0), Fraction(stream.time_base or 0)
    places = {kind: (start, size) for kind, start, size in _boxes(data)}
    start, size = places[b"elst"]
    (first,) = struct.unpack_from(">i", data, start + 20)
    entries = [
        (round(1000 * length / rate), -1 if frame is None else first + round(Fraction(frame) / rate / base))
        for length, frame in edits
    ]
    body = struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">iiI", *entry, 1 << 16) for entry in entries)
    changed = bytearray(data[:start] + struct.pack(">I4s", 8 + len(body), b"elst") + body + data[start + size :])
    for kind in (b"moov", b"trak", b"edts"):
        place, length = places[kind]
        changed[place : place + 4] = struct.pack(">I", length + len(changed) - len(data))
    return bytes(changed)


def _boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and size of the boxes down to the edit list."""
    while start + 8 <= (len(data) if end is None else end):
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, start, size
        if kind in (b"moov", b"trak", b"edts"):
            yield from _boxes(data, start + 8, start + size)
        start += size


def shown_by_ffmpeg(data: bytes) -> list[Pixels]:
    """All pictures that FFmpeg shows, decoded from the start; a player passes over packets that cannot be decoded."""
    frames: list[Pixels] = []
    with av.open(io.BytesIO(data)) as opened:
        opened.streams.video[0].codec_context.thread_count = 1
        for packet in opened.demux(video=0):
            try:
                frames += [np.asarray(frame.to_ndarray(format="rgb24")) for frame in packet.decode()]
            except av.FFmpegError:
                continue
    return frames
