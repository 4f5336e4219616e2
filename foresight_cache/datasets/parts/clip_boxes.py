"""Reads the boxes that Something-Else has for clips of Something-Something v2, in one file or in its four parts.

    {"<id>": [{"name": "<id>/0001.jpg", "nr_instances": 2,
               "labels": [{"box2d": {"x1", "y1", "x2", "y2"}, "category": "bottle",
                           "gt_annotation": "object 0", "standard_category": "0000"}, …]}, …], …}

Frames are numbered from 1 at 12 frames per second. What is a hand is so called in every file; all else is an object.
"""

import json
import re
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import shown

FRAMES_PER_SECOND = 12
"""Rate of the frames that people drew boxes in."""
CATEGORIES = {"hand": 1, "object": 2}
"""Numbers of the two categories that things have; the thing's own name is kept beside."""
_FILE = re.compile(r"(bounding_box|something[-_]else).*\.json")
_FRAME = re.compile(r"(.+)/0*([1-9][0-9]*)\.[a-z]+")
_BOX = struct.Struct("<4d")
_MOST = 3
"""Places that a sentence names."""


class _Label(NamedTuple):
    """One box in one frame."""

    box: Any
    name: Any
    track: Any


class _Frame(NamedTuple):
    name: Any
    labels: Any
    instances: Any


class ClipBoxes:
    """Boxes of clips by their ids."""

    def __init__(self, clips: Mapping[str, Any], files: Iterable[Path]) -> None:
        self.files = tuple(files)
        """Files that were read; none where there are none."""
        self._clips = clips
        self._miscounted: list[str] = []
        self._asked, self._found = 0, 0

    @classmethod
    def load(cls, folders: Iterable[Path]) -> Self:
        """Returns the boxes of all files in these folders. Raises `DatasetError` where two have the same clip."""
        clips: dict[str, Any] = {}
        file_of: dict[str, Path] = {}
        files = [
            path
            for folder in folders
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if _FILE.fullmatch(path.name)
        ]
        for path in files:
            for clip_id, frames in _read(path).items():
                if clip_id in clips:
                    raise DatasetError(
                        f"{path} and {file_of[clip_id]} both have boxes of the clip {shown(clip_id)}; which are meant "
                        "is unknown; take one of them away"
                    )
                clips[clip_id], file_of[clip_id] = frames, path
        return cls(clips, files)

    def of_split(self) -> Self:
        """Returns the same boxes, to be counted anew."""
        return type(self)(self._clips, self.files)

    def of(self, clip_id: str) -> dict[str, Any]:
        """Returns the annotations `tracks` of a clip, or none where no boxes were drawn in it. Raises `BadSample`."""
        self._asked += 1
        frames = self._clips.get(clip_id)
        if frames is None:
            return {}
        self._found += 1
        if not isinstance(frames, list) or not all(isinstance(frame, _Frame) for frame in frames):
            raise BadSample(f"its boxes are {shown(frames)}, expected a list of frames with 'name' and 'labels'")
        numbers = [_number(frame.name, clip_id) for frame in frames]
        if repeated := [number for number in numbers if numbers.count(number) > 1]:
            raise BadSample(f"its boxes have the frame {repeated[0]} more than once")
        ordered = [frame for _, frame in sorted(zip(numbers, frames, strict=True), key=lambda each: each[0])]
        self._miscounted += [frame.name for frame in ordered if _is_miscounted(frame)]
        return {
            "tracks": {
                "frames_per_second": FRAMES_PER_SECOND,
                "frames": [number - 1 for number in sorted(numbers)],
                "objects": _tracks(ordered),
            }
        }

    def check_joined(self, split: str) -> None:
        """Raises `DatasetError` where there are boxes, but of none of the clips that were asked for."""
        if self.files and self._asked and not self._found:
            first = shown(next(iter(self._clips), ""))
            raise DatasetError(
                f"{self.files[0]} has boxes of {len(self._clips):,} clips, such as {first}, and "
                f"of none of the {self._asked:,} of split {split!r}; get the file of this set, or take it away"
            )

    def remarks(self) -> tuple[str, ...]:
        """Returns sentences on clips without boxes, and on frames that say another number of boxes than they have."""
        found = []
        if self.files and self._asked > self._found:
            found.append(f"{self._asked - self._found:,} of {self._asked:,} clips have no boxes")
        if self._miscounted:
            names = ", ".join(self._miscounted[:_MOST])
            found.append(
                f"{len(self._miscounted):,} frames have another number of boxes than 'nr_instances', as {names}"
            )
        return tuple(found)


def _read(path: Path) -> dict[str, Any]:
    try:
        # As plain lists and objects a part would take ten times its size: each frame is packed as soon as it is read.
        document = json.loads(path.read_bytes(), object_pairs_hook=_packed)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}; get the file again") from None
    if not isinstance(document, dict):
        raise DatasetError(f"{path} has no boxes by the id of a clip; get the file again")
    return document


def _packed(pairs: list[tuple[str, Any]]) -> Any:
    """Returns what an object of the file says, small; the outermost one stays."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {shown(next(name for name in names if names.count(name) > 1))} stands in it twice")
    if entry.keys() == {"x1", "y1", "x2", "y2"}:
        corners = [entry[name] for name in ("x1", "y1", "x2", "y2")]
        return _BOX.pack(*corners) if all(type(value) in (int, float) for value in corners) else corners
    if "box2d" in entry:
        name = entry.get("category")
        track = entry.get("gt_annotation", entry.get("standard_category", name))
        return _Label(*(sys.intern(each) if isinstance(each, str) else each for each in (entry["box2d"], name, track)))
    if "labels" in entry:
        return _Frame(entry.get("name"), entry["labels"], entry.get("nr_instances"))
    return entry


def _number(name: Any, clip_id: str) -> int:
    """Returns the number of a frame by its name. Raises `BadSample`, also where it is one of another clip."""
    match = _FRAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise BadSample(f"its boxes have a frame {shown(name)}, expected a name such as '{clip_id}/0001.jpg'")
    if match[1] != clip_id:
        raise BadSample(f"its boxes have the frame {shown(name)}, which is of another clip")
    return int(match[2])


def _is_miscounted(frame: _Frame) -> bool:
    return frame.instances is not None and frame.instances != len(frame.labels)


def _tracks(frames: list[_Frame]) -> list[dict[str, Any]]:
    """Returns each thing with its box in each of the frames, or None. Raises `BadSample`."""
    tracks: dict[str, dict[str, Any]] = {}
    for place, frame in enumerate(frames):
        labels = frame.labels if isinstance(frame.labels, list) else [frame.labels]
        for label in labels:
            if not isinstance(label, _Label) or not isinstance(label.name, str) or not isinstance(label.track, str):
                raise BadSample(
                    f"its boxes in frame {frame.name} have a label {shown(label)}, expected box and category"
                )
            track = _free_track(tracks, label, place, len(frames))
            track["boxes"][place] = _corners(label, frame.name)
    return [tracks[name] for name in sorted(tracks)]


def _free_track(tracks: dict[str, dict[str, Any]], label: _Label, place: int, frames: int) -> dict[str, Any]:
    """Returns the track of a label; two hands have one name, and the second in a frame becomes a track of its own."""
    name, number = label.track, 1
    while name in tracks and tracks[name]["boxes"][place] is not None:
        number += 1
        name = f"{label.track} ({number})"
    category = "hand" if label.name == "hand" else "object"
    empty = {
        **{"category": category, "category_id": CATEGORIES[category], "name": label.name, "annotation_id": name},
        "boxes": [None] * frames,
    }
    return tracks.setdefault(name, empty)


def _corners(label: _Label, frame: str) -> list[float]:
    box = list(_BOX.unpack(label.box)) if isinstance(label.box, bytes) else label.box
    if not isinstance(label.box, bytes) or not (box[0] <= box[2] and box[1] <= box[3]):
        raise BadSample(
            f"its box of {shown(label.name)} in frame {frame} is {shown(box)}, expected x1 ≤ x2 and y1 ≤ y2"
        )
    return box
