"""Finds clips in a raw folder, which are video files or folders of frames, and the frames of such a folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from foresight_cache.datasets.parts.file_kinds import FRAME_SUFFIXES, VIDEO_SUFFIXES, is_frame, is_media
from foresight_cache.datasets.parts.frame_names import FrameOrder, order_frames
from foresight_cache.datasets.parts.safe_paths import check_stays_inside
from foresight_cache.errors import AbsentFiles, BadSample


def clips_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Returns everything in a folder that may be a clip, by its name without suffix; opens no file.

    Files of other kinds are among it, so that a clip of a wrong kind is told from a missing one.
    """
    paths_by_stem: dict[str, list[Path]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            # The entry itself raises an error for a link that leads to itself.
            is_folder = Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()
            stem = entry.name if is_folder else Path(entry.name).stem
            paths_by_stem.setdefault(stem, []).append(folder / entry.name)
    return paths_by_stem


def one_clip(stem: str, paths: list[Path], folder: Path, follow_links: Sequence[Path] = ()) -> Path:
    """Returns the clip among the paths that have its name.

    Raises `AbsentFiles` where there is none, `BadSample` for more than one, or a link elsewhere.
    """
    clips = sorted(path for path in paths if path.is_dir() or is_media(path.name, "clip"))
    if not clips and paths:
        raise BadSample(f"{paths[0].name} is no video; expected {stem} with one of {', '.join(VIDEO_SUFFIXES)}")
    if not clips:
        raise AbsentFiles(f"the clip is missing: there is no {stem}.webm, .mp4, .avi or folder of frames in {folder}")
    if len(clips) > 1:
        raise BadSample(f"there are several clips of that name: {', '.join(path.name for path in clips)}; keep one")
    check_stays_inside(folder, clips[0], repr(clips[0].name), follow_links)
    return clips[0]


def frame_order(folder: Path, follow_links: Sequence[Path] = ()) -> FrameOrder:
    """Returns the images in a folder in the order of the numbers in their names.

    Raises `BadSample` for a link out of the folder that does not lead into one of `follow_links`, and where the names
    do not say an order.
    """
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_frame(entry.name):
                names.append(entry.name)
                if entry.is_symlink():
                    check_stays_inside(folder, folder / entry.name, repr(entry.name), follow_links)
    if not names:
        raise BadSample(f"the folder holds no frames; expected image files ({', '.join(FRAME_SUFFIXES)})")
    return order_frames(names)


def frame_files(folder: Path, follow_links: Sequence[Path] = ()) -> list[Path]:
    """Returns the paths of the frames in a folder in order. Raises `BadSample`."""
    return [folder / name for name in frame_order(folder, follow_links).names]
