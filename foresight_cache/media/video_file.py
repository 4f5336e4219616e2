"""An encoded video in memory: how many frames, how fast, how large, and any of its frames exactly.

A frame is a picture that a player would show, counted from 0 in the order of showing. Packets are read once, which is
cheap; their time stamps say where each frame is, so that only stretches from a keyframe to a wanted frame are decoded.
Neither the container's own count nor its seeking is trusted: both are approximate in some formats.
"""

import io
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from itertools import islice
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from foresight_cache.errors import BadSample
from foresight_cache.media.containers import refuse_cut_off

Pixels = NDArray[np.uint8]

_CONTAINERS = "matroska,mov,avi"
"""FFmpeg's names of what is tried: webm, mp4, avi and their kin. Others, such as playlists, open further files."""
_EXPECTED = "expected a video: webm, mp4 or avi"
_MOST_FRAMES = 1_000_000
_CONVERSION = int(Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT)
"""To RGB with the same bits on every processor."""
_SHOWN_VP8 = 0x10
"""Bit of a VP8 packet's first byte; without it, the packet's picture is only built upon."""


class VideoFile:
    """Read packet by packet, not yet decoded. Whatever FFmpeg raises becomes `BadSample`."""

    def __init__(self, data: bytes, *, max_pixels: int) -> None:
        """Raises `BadSample` for what is no video, is cut off, or has frames of more than `max_pixels`."""
        if not data:
            raise BadSample(f"the file is empty; {_EXPECTED}")
        refuse_cut_off(data)
        try:
            container = _container(data)
            self._stream = _video_stream(container, max_pixels)
            self._packets = _packets(container, self._stream)
        except FFmpegError as error:
            raise BadSample(f"the file cannot be read ({error.strerror}); {_EXPECTED}") from None
        self._decoder = self._stream.codec_context
        self._positions = _positions(self._packets, self._stream)
        self.frames = len(self._positions) or self._count_by_decoding()
        if not self.frames:
            raise BadSample("the video has no frames")
        self._numbers = {self._packets[place].pts: number for number, place in enumerate(self._positions)}

    @property
    def frames_per_second(self) -> float | None:
        """The mean from the first frame to the last; what the container says where packets have no times."""
        base = self._stream.time_base
        if base and len(self._positions) > 1:
            ticks = self._time(self._positions[-1]) - self._time(self._positions[0])
            return round(float((self.frames - 1) / (ticks * Fraction(base))), 3)
        rate = self._stream.average_rate
        return round(float(rate), 3) if rate else None

    def pictures(self, numbers: Collection[int], keep: Callable[[Pixels], Pixels]) -> dict[int, Pixels]:
        """What `keep` makes of each wanted frame, by the frame's number; it is given upright uint8 [H, W, 3].

        Raises `BadSample` where one of them, or one that it builds upon, cannot be decoded.
        """
        try:
            return self._pictures(numbers, self._keyframe_before, keep)
        except BadSample:  # some streams can only be decoded as a whole, such as those that refresh bit by bit
            return self._pictures(numbers, lambda _: 0, keep)

    def _pictures(
        self, numbers: Collection[int], begin: Callable[[int], int], keep: Callable[[Pixels], Pixels]
    ) -> dict[int, Pixels]:
        stretches: dict[int, set[int]] = {}
        for number in numbers:
            stretches.setdefault(begin(number), set()).add(number)
        return {
            number: keep(_upright(frame))
            for start, wanted in stretches.items()
            for number, frame in self._stretch(start, wanted)
        }

    def _stretch(self, start: int, wanted: set[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Wanted frames, decoded from the packet at `start` on until all have come. Raises `BadSample`."""
        left, problem = set(wanted), "it is missing"
        try:
            for place, frame in enumerate(self._decoded(start)):
                number = self._numbers.get(frame.pts) if self._positions else place
                if frame.is_corrupt:
                    problem = "its data are damaged"
                    break
                if number in left:
                    yield number, frame
                    left.remove(number)
                if not left:
                    return
        except FFmpegError as error:
            problem = error.strerror or type(error).__name__
        raise BadSample(f"frame {min(left)} of {self.frames} cannot be decoded: {problem}")

    def _decoded(self, start: int) -> Iterator[VideoFrame]:
        """All frames from the packet at `start` on, in the order of showing. Raises `FFmpegError`."""
        self._decoder.flush_buffers()
        for packet in (*self._packets[start:], None):
            yield from self._decoder.decode(packet)

    def _count_by_decoding(self) -> int:
        try:
            return sum(1 for _ in self._decoded(0))
        except FFmpegError as error:
            raise BadSample(f"the video cannot be decoded: {error.strerror}") from None

    def _keyframe_before(self, number: int) -> int:
        """The packet to begin with: the last keyframe that is neither decoded nor shown after the frame."""
        if not self._positions:
            return 0
        place = self._positions[number]
        keyframes = (n for n, packet in enumerate(self._packets[: place + 1]) if packet.is_keyframe)
        return max((n for n in keyframes if self._time(n) <= self._time(place)), default=0)

    def _time(self, place: int) -> int:
        """When a packet's frame is shown, in the stream's time base."""
        return self._packets[place].pts or 0


def _container(data: bytes) -> InputContainer:
    """Raises `FFmpegError`."""
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    return av.open(io.BytesIO(data), mode="r", options=options, metadata_errors="replace")


def _video_stream(container: InputContainer, max_pixels: int) -> VideoStream:
    """Ready to decode. Raises `BadSample`."""
    # The cover picture of a song is a video stream, too.
    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        kinds = ", ".join(each.type for each in container.streams) or "nothing"
        raise BadSample(f"the file has no video in it, only {kinds}; {_EXPECTED}")
    decoder: VideoCodecContext | None = streams[0].codec_context
    if decoder is None:
        raise BadSample("the video is of a codec that is not known")
    if decoder.width * decoder.height > max_pixels:
        size = f"{decoder.width}×{decoder.height}"
        raise BadSample(f"the video has {size} pixels, more than the {max_pixels} that are decoded")
    decoder.thread_count = 1  # several clips are decoded at a time already
    decoder.options = {"max_pixels": str(max_pixels)}
    return streams[0]


def _packets(container: InputContainer, stream: VideoStream) -> "list[Packet[VideoStream]]":
    """In the order of decoding. Raises `FFmpegError` and `BadSample`."""
    packets = list(islice((packet for packet in container.demux(stream) if packet.size), _MOST_FRAMES + 1))
    if len(packets) > _MOST_FRAMES:
        raise BadSample(f"the video has more than the {_MOST_FRAMES} frames that are counted")
    if "mov" in container.format.name and len(packets) < stream.frames:  # the count of avi holds frames left out, too
        raise BadSample(f"the video lists {stream.frames} frames, only {len(packets)} of them are there")
    return packets


def _positions(packets: "list[Packet[VideoStream]]", stream: VideoStream) -> list[int]:
    """Where the packet of each frame stands, in the order of showing; empty where times are missing or ambiguous."""
    if stream.container.format.name == "avi" and stream.codec_context.has_b_frames:
        return []  # avi has times of decoding only
    vp8 = stream.codec_context.name == "vp8"
    shown = [
        place
        for place, packet in enumerate(packets)
        if not packet.is_discard and not (vp8 and not memoryview(packet)[0] & _SHOWN_VP8)
    ]
    times = {place: packets[place].pts for place in shown}
    if None in times.values() or len(set(times.values())) < len(shown):
        return []
    return sorted(shown, key=lambda place: times[place] or 0)


def _upright(frame: VideoFrame) -> Pixels:
    """RGB [H, W, 3], turned as the display matrix of the video says. Raises `BadSample` for a slanting one.

    The matrix takes a point (p, q) of the coded picture to (a·p + c·q, b·p + d·q), p to the right and q down.
    """
    pixels = cast(Pixels, frame.to_ndarray(format="rgb24", interpolation=_CONVERSION, threads=1))
    matrix = cast(SideDataContainer, frame.side_data).get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
    if b == c == 0 and a and d:
        return pixels[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]
    if a == d == 0 and b and c:
        return pixels.transpose(1, 0, 2)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]
    raise BadSample("the video is turned by an angle that is no multiple of 90°")
