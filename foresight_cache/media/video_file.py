"""Reads an encoded video in memory: its number of frames, rate and size, and any of its frames exactly.

A frame is a picture that a player would show, counted from 0 in the order of showing. Packets are read once, which is
cheap; their time stamps say where each frame is, so that only runs from a keyframe to a chosen frame are decoded.
Neither the container's own count nor its seeking is trusted: both are approximate in some formats.
"""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from typing import Self, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from foresight_cache.errors import BadSample
from foresight_cache.media.containers import refuse_cut_off
from foresight_cache.media.images import Pixels, on_white
from foresight_cache.media.packets import (
    first_keyframe,
    in_order_of_showing,
    need_decoding,
    read_packets,
    without_picture,
)

_CONTAINERS = "matroska,mov,avi,mpeg,mpegts,flv,asf,gif"
"""FFmpeg's names of the containers that are tried; others, such as playlists, open further files."""
_EXPECTED = "expected a video: webm, mp4, avi, mpg, ts, flv, wmv or gif"
_CONVERSION = int(Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT)
"""Conversion to RGB with the same bits on every processor."""
_WITH_ALPHA = ("bgra", "rgba", "argb", "abgr")
"""Formats of animations, parts of which may be transparent."""


class VideoFile:
    """Video whose packets are read and not yet decoded, for a `with` block. What FFmpeg raises becomes `BadSample`."""

    def __init__(self, data: bytes, *, max_pixels: int) -> None:
        """Raises `BadSample` for bytes that are not a video, are cut off, or has frames of more than `max_pixels`."""
        if not data:
            raise BadSample(f"the file is empty; {_EXPECTED}")
        refuse_cut_off(data)
        try:
            self._container = _container(data)
            with ExitStack() as opened:
                opened.push(self)
                self._stream = _video_stream(self._container, max_pixels)
                self._packets = read_packets(self._container, self._stream, len(data))
                self._pictureless = without_picture(self._packets, self._stream)
                self._find_frames()
                opened.pop_all()
        except FFmpegError as error:
            raise BadSample(f"the file cannot be read ({error.strerror}); {_EXPECTED}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Gives back the memory of the file and the decoder, which Python's collector would find much later."""
        self._container.close()

    def _find_frames(self) -> None:
        """Raises `BadSample`."""
        self._decoder = self._stream.codec_context
        self._matrices: dict[int, list[int] | None] = {}
        self._first = first_keyframe(self._packets)
        self._positions = self._shown_positions()
        self.frames = len(self._positions) or self._count_by_decoding()
        if not self.frames:
            raise BadSample(self._why_empty())
        self._numbers = {self._packets[position].pts: number for number, position in enumerate(self._positions)}

    @property
    def frames_per_second(self) -> float | None:
        """Mean rate from the first frame to the last; the container's own where packets have no times."""
        base = self._stream.time_base
        if base and len(self._positions) > 1:
            ticks = self._time(self._positions[-1]) - self._time(self._positions[0])
            return round(float((self.frames - 1) / (ticks * Fraction(base))), 3)
        rate = self._stream.average_rate
        return round(float(rate), 3) if rate else None

    @property
    def seconds(self) -> list[float] | None:
        """Times at which the frames are shown, in order, from the first one on; None where packets have no times."""
        base = self._stream.time_base
        if not base or not self._positions:
            return None
        first = self._time(self._positions[0])
        return [float((self._time(position) - first) * Fraction(base)) for position in self._positions]

    def pictures(self, numbers: Collection[int], keep: Callable[[Pixels], Pixels]) -> dict[int, Pixels]:
        """Returns what `keep` makes of each frame of these numbers, by number; it is given upright uint8 [H, W, 3].

        Raises `BadSample` where one of them, or one that it builds upon, cannot be decoded.
        """
        try:
            return self._pictures(numbers, self._keyframe_before, keep)
        except BadSample:  # some streams can only be decoded as a whole, such as those that refresh bit by bit
            return self._pictures(numbers, lambda _: self._first, keep)

    def _pictures(
        self, numbers: Collection[int], begin: Callable[[int], int], keep: Callable[[Pixels], Pixels]
    ) -> dict[int, Pixels]:
        numbers_by_start: dict[int, set[int]] = {}
        for number in numbers:
            numbers_by_start.setdefault(begin(number), set()).add(number)
        return {
            number: keep(_upright(frame, self._matrix(frame)))
            for start, run in numbers_by_start.items()
            for number, frame in self._frames_from(start, run)
        }

    def _matrix(self, frame: VideoFrame) -> list[int] | None:
        """Returns a frame's display matrix, read once: a frame that is asked stays until the collector finds it."""
        if frame.rotation not in self._matrices:
            self._matrices[frame.rotation] = _display_matrix(frame)
        return self._matrices[frame.rotation]

    def _frames_from(self, start: int, numbers: set[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Yields frames of these numbers, decoded from the packet at `start` on. Raises `BadSample`."""
        left, problem = set(numbers), "it is missing"
        try:
            for count, frame in enumerate(self._decoded(start)):
                number = self._numbers.get(frame.pts) if self._positions else count
                if frame.is_corrupt and number is not None:
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
        """Yields all frames from the packet at `start` on, in the order of showing. Raises `FFmpegError`."""
        self._decoder.flush_buffers()
        for position, packet in enumerate(self._packets[start:], start):
            with suppress(*([FFmpegError] if position in self._pictureless else [])):
                yield from self._decoder.decode(packet)
        yield from self._decoder.decode(None)

    def _shown_positions(self) -> list[int]:
        """Returns each frame's packet by position, in the order of showing; none where only decoding tells the order.

        What is decoded or shown before the first keyframe may have nothing to build upon, and then a player leaves it
        out. Raises `BadSample`.
        """
        positions = in_order_of_showing(self._packets, self._stream, self._pictureless)
        if not positions:
            return []
        begin = self._time(self._first)
        surely = [position for position in positions if position >= self._first and self._time(position) >= begin]
        if need_decoding(self._packets, self._stream):
            surely = []
        if len(surely) == len(positions):
            return positions
        times = self._times_that_come_out(begin, whole=not surely)
        if times != sorted(set(times)):
            return []  # the times are those of decoding, or begin anew
        shown = {self._time(position) for position in surely}.union(times)
        return [position for position in positions if self._time(position) in shown]

    def _times_that_come_out(self, begin: int, *, whole: bool) -> list[int]:
        """Returns times of frames as they come out of the decoder: of the `whole` video, or of what is before `begin`.

        Damage before `begin`, the time of the first keyframe, is of frames with nothing to build upon. Raises
        `BadSample`.
        """
        times: list[int] = []
        for frame in self._decoded_from_first():
            is_early = (frame.pts or 0) < begin
            if not is_early and not whole:
                break
            if not (is_early and frame.is_corrupt):
                times.append(frame.pts or 0)
        return times

    def _count_by_decoding(self) -> int:
        """Raises `BadSample`."""
        return sum(1 for _ in self._decoded_from_first())

    def _decoded_from_first(self) -> Iterator[VideoFrame]:
        """Yields all frames that come out. Raises `BadSample`."""
        try:
            yield from self._decoded(self._first)
        except FFmpegError as error:
            raise BadSample(f"the video cannot be decoded: {error.strerror}") from None

    def _why_empty(self) -> str:
        if self._packets and all(packet.is_discard for packet in self._packets):
            return "the video's edit list shows none of its frames"
        if self._packets and not any(packet.is_keyframe for packet in self._packets):
            return "none of the video's frames can be decoded: it has no keyframe, from which the others are built"
        return "the video has no frames"

    def _keyframe_before(self, number: int) -> int:
        """Returns the packet to begin with: the last keyframe that is neither decoded nor shown after the frame."""
        if not self._positions:
            return self._first
        position = self._positions[number]
        keyframes = (n for n, packet in enumerate(self._packets[: position + 1]) if packet.is_keyframe)
        return max((n for n in keyframes if self._time(n) <= self._time(position)), default=self._first)

    def _time(self, position: int) -> int:
        """Returns the time at which a packet's frame is shown, in the stream's time base."""
        return self._packets[position].pts or 0


def _container(data: bytes) -> InputContainer:
    """Raises `FFmpegError`."""
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    return av.open(io.BytesIO(data), mode="r", options=options, metadata_errors="replace")


def _video_stream(container: InputContainer, max_pixels: int) -> VideoStream:
    """Returns the stream of pictures, ready to decode. Raises `BadSample`."""
    # The cover picture of a song is a video stream, too.
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        kinds = ", ".join(stream.type for stream in container.streams) or "nothing"
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


def _display_matrix(frame: VideoFrame) -> list[int] | None:
    """Returns the nine numbers by which a frame is turned, if any."""
    matrix = cast(SideDataContainer, frame.side_data).get("DISPLAYMATRIX")
    return None if matrix is None else np.frombuffer(matrix, np.int32).tolist()


def _upright(frame: VideoFrame, matrix: Sequence[int] | None) -> Pixels:
    """Returns RGB [H, W, 3], turned as the display matrix says. Raises `BadSample` for a slanting one.

    The matrix takes a point (p, q) of the coded picture to (a·p + c·q, b·p + d·q), p to the right and q down.
    """
    if frame.format.name in _WITH_ALPHA:
        pixels = on_white(cast(Pixels, frame.to_ndarray(format="rgba", interpolation=_CONVERSION, threads=1)))
    else:
        pixels = cast(Pixels, frame.to_ndarray(format="rgb24", interpolation=_CONVERSION, threads=1))
    if matrix is None:
        return pixels
    a, b, _, c, d, *_ = matrix
    if b == c == 0 and a and d:
        return pixels[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]
    if a == d == 0 and b and c:
        return pixels.transpose(1, 0, 2)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]
    raise BadSample("the video is turned by an angle that is no multiple of 90°")
