"""Finds clips in a raw folder, which are video files or folders of frames, and the frames of such a folder."""

import os
import re
from itertools import pairwise
from pathlib import Path

from foresight_cache.datasets.parts.safe_paths import check_stays_inside
from foresight_cache.errors import AbsentFiles, BadSample

VIDEO_SUFFIXES = (".webm", ".mp4", ".avi", ".mkv", ".mov", ".m4v")
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""Suffixes of the frames in a folder of frames; anything else in it is passed over."""
_NUMBER = re.compile(r"\d+$")


def clips_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Returns everything in a folder that may be a clip, by its name without suffix; opens no file.

    Files of other kinds are among it, so that a clip of a wrong kind is told from a missing one.
    """
    paths_by_stem: dict[str, list[Path]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            stem = entry.name if entry.is_dir() else Path(entry.name).stem
            paths_by_stem.setdefault(stem, []).append(folder / entry.name)
    return paths_by_stem


def one_clip(stem: str, paths: list[Path], folder: Path) -> Path:
    """Returns the clip among the paths that have its name.

    Raises `AbsentFiles` where there is none, `BadSample` for more than one, or a link elsewhere.
    """
    clips = sorted(path for path in paths if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES)
    if not clips and paths:
        raise BadSample(f"{paths[0].name} is no video; expected {stem} with one of {', '.join(VIDEO_SUFFIXES)}")
    if not clips:
        raise AbsentFiles(f"the clip is missing: there is no {stem}.webm, .mp4, .avi or folder of frames in {folder}")
    if len(clips) > 1:
        raise BadSample(f"there are several clips of that name: {', '.join(path.name for path in clips)}; keep one")
    check_stays_inside(folder, clips[0], repr(clips[0].name))
    return clips[0]


def is_folder_of_frames(folder: Path) -> bool:
    """Returns whether a folder holds images itself."""
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(FRAME_SUFFIXES) for entry in entries)


def frame_files(folder: Path) -> list[Path]:
    """Returns the images in a folder, in the order of the numbers that end their names, else of the names.

    Raises `BadSample` for a link out of the folder.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
    for path in paths:
        if path.is_symlink():
            check_stays_inside(folder, path, repr(path.name))
    numbers = [_number(path) for path in paths]
    return paths if None in numbers else sorted(paths, key=lambda path: _number(path) or 0)


def check_no_gap(paths: list[Path]) -> None:
    """Raises `BadSample` where the numbers that end names of frames, if all have one, do not follow each other."""
    if any(_number(path) is None for path in paths):
        return
    for path, following in pairwise(paths):
        missing = (_number(following) or 0) - (_number(path) or 0) - 1
        if missing < 0:
            raise BadSample(f"the frames {path.name} and {following.name} have one number")
        if missing:
            raise BadSample(f"frames are missing between {path.name} and {following.name}: {missing}")


def _number(path: Path) -> int | None:
    match = _NUMBER.search(path.stem)
    return int(match[0]) if match else None
