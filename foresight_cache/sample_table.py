"""The sample table of a cache: one typed row per sample."""

from collections.abc import Mapping
from typing import Any, TypedDict

from foresight_cache.format.commits import Commit, SampleRow, Status
from foresight_cache.format.layout import POOLED_GRID, Level
from foresight_cache.geometry import Fit
from foresight_cache.samples import SCHEMA_VERSION, Grid, Media
from foresight_cache.tracks import with_objects


class SampleTableRow(TypedDict):
    """A row of `Cache.rows`: the sample's record, and what the cache knows of it besides."""

    schema: int
    id: str
    dataset: str
    split: str
    group: str
    media: Media
    file_name: str
    width: int
    height: int
    annotations: Mapping[str, Any]
    """Those of the record; a clip with `tracks` has the `objects` of the middle one of its frames that were taken."""
    frames: int
    """Frames of the original media: 1 of an image."""
    frames_per_second: float | None
    status: Status
    """`bad` samples have no features: they are quarantined."""
    reason: str | None
    """Why a sample is bad."""
    grid_pixel: Grid | None
    """Frames, rows and columns of pixels; None of a bad sample and where no point has this level, as below."""
    grid_patch: Grid | None
    grid_merged: Grid | None
    grid_text: Grid | None
    """The tokens of the prompt after the visual ones, in a row; None where no point has them."""
    frame_indices: tuple[int, ...]
    """Frames of the original media that were taken, counted from 0, one per time step of the pixels."""
    frame_times: tuple[float, ...] | None
    """Seconds from the start at which the pixels' frames are shown; None of an image and where nothing says it."""
    reversed: bool | None
    """True where the clip was played backwards, False where it was not; None where `--reverse` was not asked for."""
    fit: Fit
    """Kind of fit of the original in the input."""
    shard: int
    slot: int
    """Index on the first axis of the arrays in the store."""


COLUMNS = (
    *("id", "dataset", "split", "group", "media", "file_name", "width", "height", "annotations"),
    *("frames", "frames_per_second", "status", "reason", "grid_pixel", "grid_patch", "grid_merged", "grid_text"),
    *("frame_indices", "frame_times", "reversed", "shard", "slot"),
)
"""Columns of `Cache.samples`; the rest of a row is the same for all samples."""


def table_rows(commit: Commit, first_slot: int, fit: Fit) -> list[SampleTableRow]:
    """Returns the rows of a shard whose first sample has the slot `first_slot`."""
    return [_table_row(row, commit.shard, slot, fit) for slot, row in enumerate(commit.rows, start=first_slot)]


def _table_row(row: SampleRow, shard: int, slot: int, fit: Fit) -> SampleTableRow:
    sample, grids = row.sample, row.grids
    return {
        "schema": SCHEMA_VERSION,
        "id": sample.id,
        "dataset": sample.dataset,
        "split": sample.split,
        "group": sample.group,
        "media": sample.media,
        "file_name": sample.file_name,
        "width": sample.width,
        "height": sample.height,
        "annotations": with_objects(sample.annotations, row.frames, sample.frames_per_second),
        "frames": sample.frames,
        "frames_per_second": sample.frames_per_second,
        "status": row.status,
        "reason": row.reason,
        "grid_pixel": grids.get("pixel"),
        "grid_patch": grids.get("patch"),
        "grid_merged": grids.get("merged"),
        "grid_text": grids.get("text"),
        "frame_indices": row.frames,
        "frame_times": times.seconds if (times := row.times) else None,
        "reversed": row.reversed,
        "fit": fit,
        "shard": shard,
        "slot": slot,
    }


def grid_on(row: SampleTableRow, level: Level) -> Grid | None:
    """Returns the grid of a sample's tokens on a level; None where the sample has none there."""
    match level:
        case "pixel":
            return row["grid_pixel"]
        case "patch":
            return row["grid_patch"]
        case "merged":
            return row["grid_merged"]
        case "text":
            return row["grid_text"]
        case "pooled":
            return POOLED_GRID
