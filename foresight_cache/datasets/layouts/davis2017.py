"""DAVIS 2017, frames and masks at 480p.

    ROOT/ImageSets/2017/<split>.txt                 names of clips, one a line
    ROOT/JPEGImages/480p/<clip>/00000.jpg
    ROOT/Annotations/480p/<clip>/00000.png          number of the object at each pixel, 0 none

ROOT is that folder, called `DAVIS`, or the one that holds it.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.safe_paths import check_stays
from foresight_cache.errors import AbsentFiles, BadSample, DatasetError
from foresight_cache.samples import Sample, is_safe_name

FRAMES_PER_SECOND = 24.0
"""Of all clips, as published."""
_FOLDER = "DAVIS"
_MOST_OBJECTS = 10
_LAYOUT = "expected ROOT/ImageSets/2017/<split>.txt, ROOT/JPEGImages/480p/<clip> and ROOT/Annotations/480p/<clip>"


class Reader:
    """The dataset family `davis2017`. Sample ids are `<name>/<split>/<clip>`.

    Dense labels are numbers of objects within the clip: label 0 is the background. A clip without a folder of masks
    has none; of others some frames may lack theirs.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root / _FOLDER if (root / _FOLDER).is_dir() else root

    def splits(self) -> tuple[str, ...]:
        """Raises `DatasetError` where there are no lists of clips."""
        folder = self._root / "ImageSets" / "2017"
        splits = tuple(sorted(path.stem for path in folder.glob("*.txt") if is_safe_name(path.stem)))
        if not splits:
            raise DatasetError(f"{self._root} is no DAVIS folder: there is no list in {folder}; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """In the order of the list. Raises `DatasetError`."""
        if split not in (splits := self.splits()):
            raise DatasetError(f"{self._root} has no split {split!r}; splits there: {', '.join(splits)}")
        path = self._root / "ImageSets" / "2017" / f"{split}.txt"
        try:
            clips = path.read_text(encoding="utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path} is not UTF-8 text (byte {error.start}); get the file again") from None
        if repeated := [clip for clip, times in Counter(clips).items() if times > 1]:
            raise DatasetError(f"{path} lists {repeated[0]!r} more than once; mend the file")
        for clip in clips:
            yield self._record(clip, split)

    def _record(self, clip: str, split: str) -> RawSample | BrokenSample:
        sample_id = f"{self._name}/{split}/{clip}"
        frames = self._root / "JPEGImages" / "480p" / clip
        masks = self._root / "Annotations" / "480p" / clip
        try:
            if not is_safe_name(clip):
                raise BadSample(f"the list has {clip!a}, which is no name of a clip")
            if not frames.is_dir():
                raise AbsentFiles(f"its frames are missing: there is no folder {frames}")
            check_stays(frames.parent, frames, repr(clip))
            if masks.is_dir():
                check_stays(masks.parent, masks, repr(clip))
        except BadSample as error:
            return BrokenSample(id=ascii(sample_id)[1:-1], reason=str(error), absent=isinstance(error, AbsentFiles))
        names = ["background", *(f"object {number}" for number in range(1, _MOST_OBJECTS + 1))]
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="clip",
            file_name=frames.relative_to(self._root).as_posix(),
            width=0,
            height=0,
            frames_per_second=FRAMES_PER_SECOND,
            annotations={"labels": {"classes": names, "ignore": None}} if masks.is_dir() else {},
        )
        return RawSample(sample=sample, path=frames, labels=masks if masks.is_dir() else None)
