"""Really encoded clips whose every frame carries its number as pixels, so that exact sampling can be checked."""

import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
BITS = 8
CODECS = {"mp4": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4"}


def numbered(number: int, height: int = 48, width: int = 64) -> Pixels:
    """A grey frame: the bits of its number in the upper half, lowest to the left, and their opposites below."""
    bits = np.array([number >> place & 1 for place in range(BITS)], np.uint8) * 255
    columns = np.arange(width) * BITS // width
    rows = np.where(np.arange(height)[:, None] < height // 2, bits[columns], 255 - bits[columns])
    return np.repeat(rows[..., None], 3, axis=2).astype(np.uint8)


def number_in(pixels: Pixels) -> int:
    """The number that a frame carries, whatever its codec did to it."""
    height, width = pixels.shape[:2]
    columns = np.arange(width) * BITS // width
    upper, lower = (half.mean(axis=(0, 2)) for half in (pixels[: height // 2], pixels[-(height // 2) :]))
    bright = [upper[columns == place].mean() > lower[columns == place].mean() for place in range(BITS)]
    return sum(1 << place for place, is_bright in enumerate(bright) if is_bright)


def encode(
    frames: Iterable[Pixels],
    container: str = "mp4",
    *,
    codec: str = "",
    rate: int = 25,
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
    rotation: float | None = None,
    mirrored: bool = False,
    muxer: Mapping[str, str] | None = None,
) -> bytes:
    """Bytes of a video file. `times` are milliseconds at which frames are shown, else they follow at `rate`.

    Ten frames from a keyframe to the next, unless `options` say otherwise; `rotation` is in degrees.
    """
    pictures = list(frames)
    with TemporaryDirectory() as folder:  # a file, as some muxers read again what they wrote
        path = Path(folder) / "clip"
        with av.open(path, mode="w", format=container, options=dict(muxer or {})) as out:
            settings = {"g": "10", **(options or {})}
            stream: Any = out.add_stream(codec or CODECS[container], rate=rate, options=settings)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = pixel_format
            if times:
                stream.codec_context.time_base = Fraction(1, 1000)
            if rotation is not None:
                stream.set_display_rotation(rotation, hflip=mirrored)
            for place, pixels in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                if times:
                    frame.pts, frame.time_base = times[place], Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        return path.read_bytes()


def counting(frames: int, container: str = "mp4", *, height: int = 48, width: int = 64, **how: Any) -> bytes:
    """A clip whose frames carry 0, 1, 2, …"""
    return encode((numbered(number, height, width) for number in range(frames)), container, **how)


def song() -> bytes:
    """An mp4 with sound and no picture."""
    file = io.BytesIO()
    with av.open(file, mode="w", format="mp4") as out:
        stream: Any = out.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def image_bytes(pixels: Pixels, image_format: str = "PNG") -> bytes:
    """An encoded image."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=image_format)
    return file.getvalue()
