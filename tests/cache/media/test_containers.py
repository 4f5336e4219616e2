"""Clips in other containers than the usual: as FFmpeg shows them, and refused where they are cut off."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache.errors import BadSample
from foresight_cache.media.clips import clip_facts, decode_clip
from tests.support.changed_clips import repacked, shown_by_ffmpeg
from tests.support.made_clips import counting, number_in, numbered

FRAMES = 24
B_FRAMES = {"g": "8", "bf": "3", "sc_threshold": "0"}
KINDS: dict[str, dict[str, Any]] = {
    "mpg of MPEG-1": {"container": "mpeg", "codec": "mpeg1video"},
    "mpg of MPEG-2": {"container": "mpeg", "codec": "mpeg2video", "options": {"g": "8", "bf": "2"}},
    "vob": {"container": "vob", "codec": "mpeg2video", "options": {"g": "8", "bf": "2"}},
    "ts": {"container": "mpegts", "codec": "libx264", "options": B_FRAMES},
    "m2ts": {"container": "mpegts", "codec": "libx264", "muxer": {"mpegts_m2ts_mode": "1"}},
    "flv": {"container": "flv", "codec": "libx264", "options": B_FRAMES},
    "flv of its own codec": {"container": "flv", "codec": "flv"},
    "wmv": {"container": "asf", "codec": "wmv2"},
    "older wmv": {"container": "asf", "codec": "wmv1"},
    "asf of DivX 3": {"container": "asf", "codec": "msmpeg4"},
    "asf with B-frames": {"container": "asf", "codec": "libx264", "options": B_FRAMES},
    "gif": {"container": "gif", "codec": "gif", "pixel_format": "rgb8"},
    "mkv of MPEG-1": {"container": "matroska", "codec": "mpeg1video", "options": {"g": "8", "bf": "2"}},
    "3gp": {"container": "3gp", "codec": "h263", "height": 96, "width": 128},
}


def numbers(data: bytes) -> list[int]:
    """Numbers that the frames carry, of which each third is asked for alone as well."""
    frames = clip_facts({"mpg": data}, deep=True).frames
    together = [number_in(pixels) for pixels in decode_clip({"mpg": data}, range(frames))]
    for number in range(0, frames, 3):
        assert number_in(decode_clip({"mpg": data}, [number])[0]) == together[number]
    return together


@pytest.mark.parametrize("kind", KINDS)
def test_frames_as_ffmpeg_shows_them(kind: str) -> None:
    data = counting(FRAMES, **KINDS[kind])
    assert numbers(data) == list(range(FRAMES)) == [number_in(pixels) for pixels in shown_by_ffmpeg(data)]
    assert clip_facts({"mpg": data}).frames_per_second == 25


@pytest.mark.parametrize("kind", ["flv", "flv of its own codec", "wmv", "asf with B-frames", "gif"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.999])
def test_cut_off(kind: str, share: float) -> None:
    data = counting(FRAMES, **KINDS[kind])
    with pytest.raises(BadSample, match="cut off"):
        clip_facts({"mpg": data[: int(len(data) * share)]})


@pytest.mark.parametrize("container", ["mpegts", "mpeg", "flv"])
def test_times_that_begin_anew(container: str) -> None:
    """Recordings one behind the other are shown one after the other, though both begin at the same time."""
    how = {"mpeg": "mpeg2video", "flv": "flv"}.get(container, "libx264")
    one = counting(FRAMES, container, codec=how)
    other = counting(2 * FRAMES, container, codec=how)
    data = one + (other[13:] if container == "flv" else other)
    shown = [number_in(pixels) for pixels in shown_by_ffmpeg(data)]
    assert shown == [*range(FRAMES), *range(2 * FRAMES)]
    assert numbers(data) == shown


def test_a_recording_that_begins_between_keyframes() -> None:
    data = repacked(counting(FRAMES, options=B_FRAMES), lambda packets: packets[3:], "mpegts")
    assert numbers(data) == [number_in(pixels) for pixels in shown_by_ffmpeg(data)] == list(range(8, FRAMES))


def test_animations_are_white_where_they_are_transparent() -> None:
    """Compared with Pillow, over pictures that are drawn on those before them."""
    pictures = []
    for number in range(5):
        alpha = np.where(numbered(number)[..., :1] > 100, 255, 0).astype(np.uint8)
        pictures.append(Image.fromarray(np.concatenate([numbered(number) // 2, alpha], axis=2)))
    for disposal in (0, 1, 2):
        file = io.BytesIO()
        pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=100, disposal=disposal)
        shown = []
        with Image.open(file) as animation:
            for number in range(animation.n_frames):
                animation.seek(number)
                clear = animation.convert("RGBA")
                white = Image.new("RGBA", clear.size, "white")
                shown.append(np.asarray(Image.alpha_composite(white, clear).convert("RGB")))
        assert len(shown) == 5
        decoded = decode_clip({"gif": file.getvalue()}, range(5))
        np.testing.assert_array_equal(decoded, np.stack(shown))
        assert clip_facts({"gif": file.getvalue()}).frames_per_second == 10
