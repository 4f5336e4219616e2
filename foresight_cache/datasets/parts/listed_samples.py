"""Makes the samples that readers yield: sound ones whose size only the media say, and broken ones with the reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, FrameGaps, RawSample
from foresight_cache.datasets.file_parts import FilePart, MediaFile
from foresight_cache.datasets.parts.safe_paths import name_below
from foresight_cache.errors import AbsentFiles, BadSample, DatasetError
from foresight_cache.samples import Media, Sample


def check_split(split: str, splits: Sequence[str], root: Path) -> None:
    """Raises `DatasetError` where a folder does not have a split."""
    if split not in splits:
        raise DatasetError(f"{root} has no split {split!r}; splits there: {', '.join(splits)}")


def unmeasured_sample(
    sample_id: str,
    root: Path,
    path: MediaFile,
    media: Media,
    annotations: Mapping[str, Any],
    *,
    file_name: str | None = None,
    group: str | None = None,
    frames_per_second: float | None = None,
    labels: Path | None = None,
    rules: FolderRules = DEFAULT_RULES,
    gaps: FrameGaps = "none",
) -> RawSample:
    """Returns a sample whose width and height its media will say.

    `sample_id` is `<dataset>/<split>/<stem>`; without `group` the sample is a group of its own. A caller that
    knows the path below the root gives it as `file_name`.
    """
    dataset, split, _ = sample_id.split("/", 2)
    sample = Sample(
        id=sample_id,
        dataset=dataset,
        split=split,
        group=group or sample_id,
        media=media,
        file_name=file_name or name_below(root, path.path if isinstance(path, FilePart) else path),
        width=0,
        height=0,
        frames_per_second=frames_per_second,
        annotations=annotations,
    )
    return RawSample(sample=sample, path=path, labels=labels, gaps=gaps, follow_links=rules.follow_links)


def broken_sample(
    sample_id: str,
    error: BadSample,
    path: Path | None = None,
    labels: Path | None = None,
    classes: tuple[str, ...] = (),
) -> BrokenSample:
    """Returns a sample that cannot be used, its id in ASCII, as file names may hold halves of characters.

    `path` and `labels` are those of its files that were found in the folder, `classes` what it would be counted under.
    """
    absent = isinstance(error, AbsentFiles)
    return BrokenSample(
        id=ascii(sample_id)[1:-1], reason=str(error), absent=absent, path=path, labels=labels, classes=classes
    )
