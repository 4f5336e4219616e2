"""The files of a sample in its tar, by suffix: its media, dense labels, and the record.

000000007.jpg          an image, or a clip in one file (mp4, webm, …)
000000007.00000.jpg    the frames of a clip that is kept as images: 00000, 00001, …
000000007.seg.png      dense labels of an image
000000007.00003.seg.png    dense labels of frame 3
000000007.json         the record
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

Content = bytes | memoryview
Members = Mapping[str, Content]
"""Files of a sample by suffix, the record left out."""

RECORD = "json"
LABELS = "seg.png"
MOST_FRAMES = 100_000
"""Frames that a name has digits for."""
_Content = TypeVar("_Content")
_MEDIA_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_FRAME = re.compile(r"(\d{5})\.([a-z0-9]{1,8})")
_FRAME_LABELS = re.compile(rf"(\d{{5}})\.{re.escape(LABELS)}")


def media_member_extension(file_name: str) -> str:
    """Returns the extension of a media file in its tar, without the dot: its own, or `media` where that is not usable.

    >>> media_member_extension("val2017/000000000785.JPG"), media_member_extension("clip")
    ('jpg', 'media')
    >>> media_member_extension("a.json")  # would pass for the sample's record
    'media'
    """
    suffix = posixpath.splitext(file_name)[1].lower()
    return suffix[1:] if _MEDIA_SUFFIX.fullmatch(suffix) and suffix != f".{RECORD}" else "media"


def frame_member(number: int, member: str) -> str:
    """Returns the suffix of one frame's file, or of its labels.

    >>> frame_member(3, "jpg"), frame_member(0, LABELS)
    ('00003.jpg', '00000.seg.png')
    """
    return f"{number:05d}.{member}"


def frames_of(members: Mapping[str, _Content]) -> list[_Content]:
    """Returns the media files in order: one, or the frames of a clip that is kept as images.

    >>> frames_of({"seg.png": b"labels", "jpg": b"image"}), frames_of({"00001.jpg": b"b", "00000.jpg": b"a"})
    ([b'image'], [b'a', b'b'])
    """
    if len(members) == 1:  # nearly every image
        return list(members.values())
    return [members[suffix] for suffix in sorted(members) if not _is_labels(suffix) and suffix != RECORD]


def labels_of(members: Mapping[str, _Content]) -> list[_Content]:
    """Returns the dense labels in order of their frames; of an image one or none.

    >>> labels_of({"00001.seg.png": b"b", "00000.jpg": b"", "00000.seg.png": b"a", "00001.jpg": b""})
    [b'a', b'b']
    """
    return [members[suffix] for suffix in sorted(members) if _is_labels(suffix)]


def labelled_frames(suffixes: Iterable[str]) -> list[int]:
    """Returns the numbers of the frames that have labels, in the order of `labels_of`; an image is frame 0.

    >>> labelled_frames(["seg.png", "jpg"]), labelled_frames(["00000.jpg", "00004.seg.png", "00002.seg.png"])
    ([0], [2, 4])
    """
    return sorted(int(suffix[:5]) if suffix != LABELS else 0 for suffix in suffixes if _is_labels(suffix))


def are_whole(suffixes: Iterable[str]) -> bool:
    """Tells whether these are the files of one sample, without the record: media without a gap, labels of its frames.

    >>> are_whole(["jpg"]), are_whole(["00000.jpg", "00001.jpg", "00001.seg.png"])
    (True, True)
    >>> are_whole(["jpg", "png"]), are_whole(["seg.png"]), are_whole(["00000.jpg", "00002.jpg"])
    (False, False, False)
    >>> are_whole(["00000.jpg", "seg.png"])
    False
    """
    names = set(suffixes)
    labels = {name for name in names if _is_labels(name)}
    media = names - labels
    frames = [match for name in media if (match := _FRAME.fullmatch(name))]
    if not frames:
        return len(media) == 1 and _MEDIA_SUFFIX.fullmatch(f".{next(iter(media))}") is not None and labels <= {LABELS}
    without_gap = {frame_member(number, frames[0][2]) for number in range(len(media))}
    return media == without_gap and all(label != LABELS and int(label[:5]) < len(media) for label in labels)


def _is_labels(suffix: str) -> bool:
    return suffix == LABELS or _FRAME_LABELS.fullmatch(suffix) is not None
