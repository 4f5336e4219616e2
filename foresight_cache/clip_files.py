"""Clips as they lie in a raw folder: video files, or folders of frames."""

import os
import re
from itertools import pairwise
from pathlib import Path

from foresight_cache.errors import BadSample
from foresight_cache.inside import check_stays

VIDEO_SUFFIXES = (".webm", ".mp4", ".avi", ".mkv", ".mov", ".m4v")
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""Files of a folder of frames that are frames; anything else in it is passed over."""
_NUMBER = re.compile(r"\d+$")


def clips_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Everything in a folder that may be a clip, by its name without suffix; no file is opened.

    Files of other kinds are there, too, so that a clip of a wrong kind is told from a missing one.
    """
    found: dict[str, list[Path]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            stem = entry.name if entry.is_dir() else Path(entry.name).stem
            found.setdefault(stem, []).append(folder / entry.name)
    return found


def one_clip(stem: str, found: list[Path], folder: Path) -> Path:
    """The clip among what has its name. Raises `BadSample` where there is none, more than one, or a link elsewhere."""
    clips = sorted(path for path in found if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES)
    if not clips and found:
        raise BadSample(f"{found[0].name} is no video; expected {stem} with one of {', '.join(VIDEO_SUFFIXES)}")
    if not clips:
        raise BadSample(f"the clip is missing: there is no {stem}.webm, .mp4, .avi or folder of frames in {folder}")
    if len(clips) > 1:
        raise BadSample(f"there are several clips of that name: {', '.join(path.name for path in clips)}; keep one")
    check_stays(folder, clips[0], repr(clips[0].name))
    return clips[0]


def is_folder_of_frames(folder: Path) -> bool:
    """Whether a folder holds images itself."""
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(FRAME_SUFFIXES) for entry in entries)


def frame_files(folder: Path) -> list[Path]:
    """Frames of a clip that is kept as images, in the order of the numbers that end their names, else of the names.

    Raises `BadSample` where a number is missing or there twice, and for a link out of the folder.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
    for path in paths:
        if path.is_symlink():
            check_stays(folder, path, repr(path.name))
    found = [_NUMBER.search(path.stem) for path in paths]
    if not all(found):
        return paths
    numbered = sorted((int(match[0]), path) for match, path in zip(found, paths, strict=True) if match)
    for (number, path), (following, other) in pairwise(numbered):
        if following != number + 1:
            what = (
                "have one number" if following == number else f"follow each other: {following - number - 1} are missing"
            )
            raise BadSample(f"the frames {path.name} and {other.name} {what}")
    return [path for _, path in numbered]
