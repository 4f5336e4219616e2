"""Decodes clips to pixels: a video file, or frames that are kept as image files."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import BadSample
from foresight_cache.media.images import MAX_PIXELS, Pixels, decode_image, image_size
from foresight_cache.media.video_file import VideoFile
from foresight_cache.shards.members import frames_of

_FRAME = re.compile(r"\d{5}\.(?!seg\.).+")
"""Pattern of the suffix of a member that is one frame of a clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFacts:
    """Length, rate and size of a clip, as its sample's record has them."""

    frames: int
    """Number of frames that a player would show."""
    frames_per_second: float | None
    """Mean rate over the clip; None where nothing says it: frames that are kept as images."""
    height: int
    """Height of a frame in pixels, upright."""
    width: int
    """Width of a frame in pixels, upright."""


def clip_facts(members: Mapping[str, bytes], *, deep: bool = False) -> ClipFacts:
    """Measures a clip from its members in its tar (`members.py`): by packets and first frame, or by image headers.

    `deep` decodes every frame. Raises `BadSample` for what cannot be decoded, is cut off or damaged, is larger than
    `MAX_PIXELS`, or has frames of several sizes.
    """
    media = frames_of(members)
    if _is_folder(members):
        sizes = [decode_image(frame).shape[:2] if deep else image_size(frame) for frame in media]
        height, width = _one_size(sizes)
        return ClipFacts(frames=len(media), frames_per_second=None, height=height, width=width)
    with VideoFile(media[0], max_pixels=MAX_PIXELS) as video:
        sizes_seen: list[tuple[int, int]] = []
        video.pictures(range(video.frames) if deep else range(1), lambda pixels: _noted(pixels, sizes_seen)[:0])
        height, width = _one_size(sizes_seen)
        return ClipFacts(frames=video.frames, frames_per_second=video.frames_per_second, height=height, width=width)


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedClip:
    """Frames of a clip, and when all of its frames are shown."""

    pixels: Pixels
    """Frames [T, H, W, 3], uint8, RGB, upright."""
    seconds: Sequence[float] | None
    """Times of all frames of the clip from the first one on; None where nothing says them."""


def decode_clip(
    members: Mapping[str, bytes], indices: Sequence[int], keep: Callable[[Pixels], Pixels] = lambda pixels: pixels
) -> Pixels:
    """Returns frames of a clip, uint8 [T, H, W, 3], RGB, upright, in the order of `indices`, which may repeat.

    `keep` is given each frame as it is decoded, [H, W, 3], and makes of it what is returned: with a resize in it, no
    more than one frame of full size is held. Raises `BadSample` as `clip_facts` does, and for an index that the clip
    does not have.
    """
    return decode_timed_clip(members, indices, keep).pixels


def decode_timed_clip(
    members: Mapping[str, bytes], indices: Sequence[int], keep: Callable[[Pixels], Pixels]
) -> DecodedClip:
    """Returns what `decode_clip` does, and the times of all frames. Raises what it raises."""
    media = frames_of(members)
    sizes: list[tuple[int, int]] = []
    seconds: list[float] | None = None
    if _is_folder(members):
        _refuse_beyond(indices, len(media))
        kept = {index: keep(_noted(decode_image(media[index]), sizes)) for index in sorted(set(indices))}
    else:
        with VideoFile(media[0], max_pixels=MAX_PIXELS) as video:
            _refuse_beyond(indices, video.frames)
            kept, seconds = video.pictures(indices, lambda pixels: keep(_noted(pixels, sizes))), video.seconds
    _one_size(sizes)
    return DecodedClip(pixels=np.stack([kept[index] for index in indices]), seconds=seconds)


def _is_folder(members: Mapping[str, bytes]) -> bool:
    return any(_FRAME.fullmatch(suffix) for suffix in members)


def _noted(pixels: Pixels, sizes: list[tuple[int, int]]) -> Pixels:
    sizes.append((pixels.shape[0], pixels.shape[1]))
    return pixels


def _one_size(sizes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """Returns height and width of all frames. Raises `BadSample` where they differ."""
    height, width = sizes[0]
    for other_height, other_width in sizes:
        if (other_height, other_width) != (height, width):
            raise BadSample(
                f"the clip has frames of {width}×{height} and of {other_width}×{other_height} pixels; "
                "all frames of a clip must have one size"
            )
    return height, width


def _refuse_beyond(indices: Sequence[int], frames: int) -> None:
    if max(indices) >= frames:
        raise BadSample(f"the clip has {frames} frames, its record speaks of frame {max(indices)}")
