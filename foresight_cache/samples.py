"""The record that flows from a raw dataset to the cache, and the grid on which its tokens lie."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self, get_args

from foresight_cache.errors import BadSample

SCHEMA_VERSION = 1
"""Version of the sample's JSON form, `docs/cache_format.md` § Sample."""

_OF_CLIPS = {"frames": 1, "frames_per_second": None}
"""Fields that the record of an image does not have, and what they are then."""
_LARGEST = 10**9
"""Pixels along a side that no media has; integers of JSON have no end, and floats have."""

Media = Literal["image", "clip"]
MEDIA: tuple[Media, ...] = get_args(Media)


class Grid(NamedTuple):
    """The grid of one sample's tokens in time and space: T frames, H rows and W columns.

    Token arrays are in raster order: index = ((t * H) + y) * W + x.

    >>> grid = Grid(t=2, h=3, w=4)
    >>> grid.tokens
    24
    >>> grid.raster_index(t=1, y=2, x=3)
    23
    """

    t: int
    h: int
    w: int

    @property
    def tokens(self) -> int:
        return self.t * self.h * self.w

    def raster_index(self, *, t: int = 0, y: int, x: int) -> int:
        return (t * self.h + y) * self.w + x


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image or one video clip with its annotations, without the pixels."""

    id: str
    """`<dataset>/<split>/<file stem>`, unique in a dataset."""
    dataset: str
    split: str
    """The dataset's own split, such as `val2017`; probes split again by `group`."""
    group: str
    """Samples of one group (the same image, video or question source) are never on two sides of a split."""
    media: Media
    file_name: str
    """Name of the original media file, relative to the dataset's root."""
    width: int
    """Width of the original media in pixels."""
    height: int
    """Height of the original media in pixels."""
    frames: int = 1
    """Frames of the original media: 1 of an image."""
    frames_per_second: float | None = None
    """Mean over a clip; None of an image, and of a clip of which nothing says it."""
    annotations: Mapping[str, Any] = field(default_factory=dict)
    """Annotations by kind, of the schema in `annotations`; coordinates are pixels of the original media."""

    def to_json(self) -> dict[str, Any]:
        """Returns the record as JSON; that of an image has no fields that only clips have."""
        names = self.__slots__ if self.media == "clip" else set(self.__slots__) - _OF_CLIPS.keys()
        return {"schema": SCHEMA_VERSION, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Returns the sample of a record. Raises `BadSample` where it is not of schema 1."""
        if not isinstance(record, Mapping) or record.get("schema") != SCHEMA_VERSION:
            schema = record.get("schema") if isinstance(record, Mapping) else type(record).__name__
            raise BadSample(f"sample record has schema {schema!r}, expected {SCHEMA_VERSION}")
        values: dict[str, Any] = {name: record.get(name, _OF_CLIPS.get(name)) for name in cls.__slots__}
        for name in ("id", "dataset", "split", "group", "file_name"):
            if not isinstance(values[name], str) or not values[name]:
                raise BadSample(f"sample record has no text under {name!r}")
        for name in ("width", "height"):
            if type(values[name]) is not int or not 0 < values[name] < _LARGEST:
                raise BadSample(f"sample {values['id']!r} has {name} {values[name]!r}, expected a positive integer")
        if values["media"] not in MEDIA:
            raise BadSample(f"sample {values['id']!r} has media {values['media']!r}, expected 'image' or 'clip'")
        _check_time(values)
        if not isinstance(values["annotations"], Mapping):
            raise BadSample(f"sample {values['id']!r} has no mapping under 'annotations'")
        return cls(**values)


def _check_time(values: Mapping[str, Any]) -> None:
    """Raises `BadSample` where frames and their rate are not those of an image or a clip."""
    frames, rate = values["frames"], values["frames_per_second"]
    if type(frames) is not int or not 0 < frames < _LARGEST:
        raise BadSample(f"sample {values['id']!r} has frames {frames!r}, expected a positive integer")
    if rate is not None and (type(rate) not in (int, float) or not 0 < rate < _LARGEST):
        raise BadSample(f"sample {values['id']!r} has frames_per_second {rate!r}, expected a positive number or null")
    if values["media"] == "image" and (frames, rate) != (1, None):
        raise BadSample(f"sample {values['id']!r} is an image of {frames!r} frames at {rate!r} per second")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipTimes:
    """When the frames that were taken of a clip are shown."""

    frames: int
    """Frames of the clip."""
    frames_per_second: float
    """Mean rate of the clip."""
    indices: tuple[int, ...]
    """Numbers of the frames in the clip, ascending."""
    measured: tuple[float, ...] | None = None
    """Seconds at which they are shown, from the clip's first frame on; None where all follow at the mean rate."""

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds from the first frame of the clip on.

        >>> ClipTimes(frames=8, frames_per_second=4.0, indices=(1, 5)).seconds
        (0.25, 1.25)
        """
        return self.measured or tuple(index / self.frames_per_second for index in self.indices)


_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_safe_name(name: str) -> bool:
    """Tells whether a dataset or split name can be a folder name anywhere.

    >>> is_safe_name("val2017"), is_safe_name("../val"), is_safe_name("")
    (True, False, False)
    """
    return _SAFE_NAME.fullmatch(name) is not None
