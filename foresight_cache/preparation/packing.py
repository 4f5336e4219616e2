"""Packs one sample: reads its files, checks them, and returns the record and the files that go into its tar."""

from collections.abc import Callable
from dataclasses import replace
from operator import methodcaller
from pathlib import Path

from foresight_cache.annotations import check_annotations
from foresight_cache.datasets import RawSample
from foresight_cache.datasets.file_parts import MediaFile
from foresight_cache.datasets.parts.clip_files import frame_files, frame_order
from foresight_cache.errors import BadSample
from foresight_cache.media.clips import ClipFacts, clip_facts
from foresight_cache.media.images import decode_image, image_size
from foresight_cache.media.labels import check_labels, decode_labels, labels_size
from foresight_cache.samples import Sample
from foresight_cache.shards import Packed
from foresight_cache.shards.members import (
    LABELS,
    MOST_FRAMES,
    Content,
    Members,
    frame_member,
    frames_of,
    media_member_extension,
)

Read = Callable[[MediaFile], Content]
"""Function that returns the content of a file."""


def pack_sample(raw: RawSample, *, deep: bool = False, read: Read = methodcaller("read_bytes")) -> Packed:
    """Reads a sample's files and checks headers, sizes, labels and annotations; with `deep`, decodes all pixels too.

    Width and height that the reader does not know come from the media. `read` returns the content of image files.
    Raises `BadSample`.
    """
    name = raw.sample.file_name
    try:
        members = _read_media(raw, read)
        sample = _measured(raw.sample, members)
        if raw.labels is not None:
            members |= _read_labels(raw, sample)
        check_annotations(sample.annotations, width=sample.width, height=sample.height)
        if deep:
            _decode(sample, members)
    except OSError as error:
        where = name if error.filename in (None, str(raw.path)) else Path(error.filename).name
        raise BadSample(f"{where} cannot be read: {error.strerror}") from None
    except BadSample as error:
        raise BadSample(f"{name}: {error}") from None
    return sample, members


def _read_media(raw: RawSample, read: Read) -> dict[str, Content]:
    if raw.sample.media == "clip" and isinstance(raw.path, Path) and raw.path.is_dir():
        return _read_frames(raw, raw.path)
    if raw.sample.media == "clip":
        return {media_member_extension(raw.path.name): raw.path.read_bytes()}
    return {media_member_extension(raw.path.name): read(raw.path)}


def _read_frames(raw: RawSample, folder: Path) -> dict[str, Content]:
    """Returns the image files of a folder in order. Raises `BadSample`."""
    order = frame_order(folder, raw.follow_links)
    paths = [folder / name for name in order.names]
    suffixes = {media_member_extension(path.name) for path in paths}
    if len(suffixes) > 1 or len(paths) > MOST_FRAMES:
        raise BadSample(
            f"the folder holds {len(paths)} frames of the kinds {', '.join(sorted(suffixes))}; expected one"
        )
    if raw.gaps != "any":
        order.check_gaps(constant_step=raw.gaps == "even")
    suffix = suffixes.pop()
    return {frame_member(number, suffix): path.read_bytes() for number, path in enumerate(paths)}


def _measured(sample: Sample, members: Members) -> Sample:
    """Returns the sample with the media's width and height, which must be those of the annotations, if any."""
    if sample.media == "clip":
        return _measured_clip(sample, _facts(members))
    height, width = image_size(frames_of(members)[0])
    if not sample.width and not sample.height:
        return replace(sample, width=width, height=height)
    if (sample.height, sample.width) != (height, width):
        listed = sample.height, sample.width
        turned = ", which were made of the image as it is stored, not upright" if (width, height) == listed else ""
        raise BadSample(
            f"the image has {width}×{height} pixels, its annotations say {sample.width}×{sample.height}{turned}"
        )
    return sample


def _facts(members: Members, *, deep: bool = False) -> ClipFacts:
    return clip_facts({suffix: bytes(data) for suffix, data in members.items()}, deep=deep)


def _measured_clip(sample: Sample, facts: ClipFacts) -> Sample:
    """Returns the sample with the clip's size and length; its rate stays where the media, as frames, have none."""
    rate = facts.frames_per_second or sample.frames_per_second
    return replace(sample, width=facts.width, height=facts.height, frames=facts.frames, frames_per_second=rate)


def _read_labels(raw: RawSample, sample: Sample) -> dict[str, Content]:
    """Returns dense labels by suffix, each of the size and with values of what it labels. Raises `BadSample`."""
    if raw.labels is None:
        return {}
    if raw.labels.is_dir() and isinstance(raw.path, Path):
        numbers = {path.stem: number for number, path in enumerate(frame_files(raw.path, raw.follow_links))}
        paths = {path.stem: path for path in frame_files(raw.labels, raw.follow_links)}
        if strays := sorted(paths.keys() - numbers.keys()):
            raise BadSample(f"labels {strays[0]} are of no frame; names of labels and frames must agree")
        labels: dict[str, Content] = {
            frame_member(numbers[stem], LABELS): path.read_bytes() for stem, path in sorted(paths.items())
        }
    else:
        labels = {LABELS: raw.labels.read_bytes()}
    for suffix, data in labels.items():
        try:
            size = labels_size(data)
            labels_HW = decode_labels(data)
        except BadSample as error:
            raise BadSample(f"its labels ({suffix}): {error}") from None
        if sample.width and size != (sample.height, sample.width):
            raise BadSample(
                f"its labels ({suffix}) have {size[1]}×{size[0]} pixels, the media {sample.width}×{sample.height}"
            )
        # Small beside the media, and values that the set does not know would end the extraction of all samples.
        check_labels(labels_HW, sample)
    return labels


def _decode(sample: Sample, members: Members) -> None:
    """Raises `BadSample` for pixels that cannot be decoded."""
    if sample.media == "clip":
        _facts(members, deep=True)
    else:
        for frame in frames_of(members):
            decode_image(frame)
