"""From a sample that a reader found to the record and the files that go into its tar, checked on the way."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from foresight_cache.annotations import check_annotations
from foresight_cache.datasets import RawSample
from foresight_cache.datasets.parts.clip_files import FRAME_SUFFIXES, check_no_gap, frame_files
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
    labels_of,
    media_suffix,
)

Read = Callable[[Path], Content]


def packed(found: RawSample, *, deep: bool = False, read: Read = Path.read_bytes) -> Packed:
    """Reads the sample's files and checks headers, sizes and annotations; with `deep`, decodes all pixels too.

    Width and height that the reader does not know come from the media. `read` gives the content of image files.
    Raises `BadSample`.
    """
    name = found.sample.file_name
    try:
        members = _media(found, read)
        sample = _measured(found.sample, members)
        if found.labels is not None:
            members |= _labels(found, sample)
        check_annotations(sample.annotations, width=sample.width, height=sample.height)
        if deep:
            _decode(sample, members)
    except OSError as error:
        where = name if error.filename in (None, str(found.path)) else Path(error.filename).name
        raise BadSample(f"{where} cannot be read: {error.strerror}") from None
    except BadSample as error:
        raise BadSample(f"{name}: {error}") from None
    return sample, members


def _media(found: RawSample, read: Read) -> dict[str, Content]:
    if found.sample.media == "clip" and found.path.is_dir():
        return _frames(found.path)
    if found.sample.media == "clip":
        return {media_suffix(found.path.name): found.path.read_bytes()}
    return {media_suffix(found.path.name): read(found.path)}


def _frames(folder: Path) -> dict[str, Content]:
    """The image files of a folder in order. Raises `BadSample`."""
    paths = frame_files(folder)
    suffixes = {media_suffix(path.name) for path in paths}
    if not paths:
        raise BadSample(f"the folder holds no frames; expected image files ({', '.join(FRAME_SUFFIXES)})")
    if len(suffixes) > 1 or len(paths) > MOST_FRAMES:
        raise BadSample(
            f"the folder holds {len(paths)} frames of the kinds {', '.join(sorted(suffixes))}; expected one"
        )
    check_no_gap(paths)
    suffix = suffixes.pop()
    return {frame_member(number, suffix): path.read_bytes() for number, path in enumerate(paths)}


def _measured(sample: Sample, members: Members) -> Sample:
    """With the width and height of the media, which must be those that the annotations say, if they say any."""
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
    """A rate that the reader knows stays where the media do not say one, as frames in a folder do not."""
    rate = facts.frames_per_second or sample.frames_per_second
    return replace(sample, width=facts.width, height=facts.height, frames=facts.frames, frames_per_second=rate)


def _labels(found: RawSample, sample: Sample) -> dict[str, Content]:
    """Dense labels by suffix, each of the size of what it labels. Raises `BadSample`."""
    if found.labels is None:
        return {}
    if found.labels.is_dir():
        numbers = {path.stem: number for number, path in enumerate(frame_files(found.path))}
        paths = {path.stem: path for path in frame_files(found.labels)}
        if strays := sorted(paths.keys() - numbers.keys()):
            raise BadSample(f"labels {strays[0]} are of no frame; names of labels and frames must agree")
        labels: dict[str, Content] = {
            frame_member(numbers[stem], LABELS): path.read_bytes() for stem, path in sorted(paths.items())
        }
    else:
        labels = {LABELS: found.labels.read_bytes()}
    for suffix, data in labels.items():
        try:
            size = labels_size(data)
        except BadSample as error:
            raise BadSample(f"its labels ({suffix}): {error}") from None
        if sample.width and size != (sample.height, sample.width):
            raise BadSample(
                f"its labels ({suffix}) have {size[1]}×{size[0]} pixels, the media {sample.width}×{sample.height}"
            )
    return labels


def _decode(sample: Sample, members: Members) -> None:
    """Raises `BadSample` for pixels that cannot be decoded and for labels that the annotations do not know."""
    if sample.media == "clip":
        _facts(members, deep=True)
    else:
        for frame in frames_of(members):
            decode_image(frame)
    for labels in labels_of(members):
        check_labels(decode_labels(labels), sample)
