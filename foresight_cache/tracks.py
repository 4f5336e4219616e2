"""Boxes of things that move through a clip, and those of them at the time that is looked at."""

from collections.abc import Mapping, Sequence
from typing import Any


def with_objects(
    annotations: Mapping[str, Any], frame_indices: Sequence[int], frames_per_second: float | None
) -> Mapping[str, Any]:
    """Returns annotations of a clip with `objects`: those of its `tracks` in the middle one of the frames taken.

    A clip whose own rate is not known has that of its tracks. Annotations without tracks, and those of which this
    frame has none, stay as they are.

    >>> track = {"boxes": [[0, 0, 2, 3], None], "category": "hand", "category_id": 1, "annotation_id": "object hand"}
    >>> tracks = {"frames_per_second": 12, "frames": [0, 1], "objects": [track]}
    >>> [(thing["box"], thing["area"]) for thing in with_objects({"tracks": tracks}, [0], 24.0)["objects"]]
    [([0, 0, 2, 3], 6.0)]
    >>> with_objects({"tracks": tracks}, [0, 2, 4], 24.0)["objects"]
    []
    >>> "objects" in with_objects({"tracks": tracks}, [8], 24.0)
    False
    """
    tracks = annotations.get("tracks")
    if tracks is None or not frame_indices or "objects" in annotations:
        return annotations
    rate = tracks["frames_per_second"]
    frame = round(frame_indices[len(frame_indices) // 2] / (frames_per_second or rate) * rate)
    if frame not in tracks["frames"]:
        return annotations
    place = tracks["frames"].index(frame)
    return {
        **annotations,
        "objects": [_object(track, box) for track in tracks["objects"] if (box := track["boxes"][place])],
    }


def _object(track: Mapping[str, Any], box: Sequence[float]) -> dict[str, Any]:
    return {
        "box": box,
        "category": track["category"],
        "category_id": track["category_id"],
        "crowd": False,
        "area": float((box[2] - box[0]) * (box[3] - box[1])),
        "annotation_id": track["annotation_id"],
    }
