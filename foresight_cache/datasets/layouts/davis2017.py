"""DAVIS 2017, frames and masks at 480p.

    ROOT/ImageSets/2017/<split>.txt                 names of clips, one a line
    ROOT/JPEGImages/480p/<clip>/00000.jpg
    ROOT/Annotations/480p/<clip>/00000.png          number of the object at each pixel, 0 none

ROOT is that folder, called `DAVIS`, or the one that holds it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from foresight_cache.datasets import DEFAULT_RULES, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.file_kinds import is_split_file
from foresight_cache.datasets.parts.listed_samples import broken_sample, check_split, unmeasured_sample
from foresight_cache.datasets.parts.safe_paths import check_stays_inside
from foresight_cache.datasets.parts.text_files import read_lines
from foresight_cache.errors import AbsentFiles, BadSample, DatasetError
from foresight_cache.samples import is_safe_name

FRAMES_PER_SECOND = 24.0
"""Rate of all clips, as published."""
_FOLDER = "DAVIS"
_MOST_OBJECTS = 10
_LAYOUT = "expected ROOT/ImageSets/2017/<split>.txt, ROOT/JPEGImages/480p/<clip> and ROOT/Annotations/480p/<clip>"


class Reader:
    """Reader of the dataset family `davis2017`. Sample ids are `<name>/<split>/<clip>`.

    Dense labels are numbers of objects within the clip: label 0 is the background. A clip without a folder of masks
    has none; of others some frames may lack theirs.
    """

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root / _FOLDER if (root / _FOLDER).is_dir() else root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a list of clips. Raises `DatasetError` where there is none."""
        folder = self._root / "ImageSets" / "2017"
        splits = tuple(sorted(path.stem for path in folder.glob("*.txt") if is_split_file(path.stem)))
        if not splits:
            raise DatasetError(f"{self._root} is not a DAVIS folder: there is no list in {folder}; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the list. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        path = self._root / "ImageSets" / "2017" / f"{split}.txt"
        clips = " ".join(read_lines(path)).split()
        if repeated := [clip for clip, times in Counter(clips).items() if times > 1]:
            raise DatasetError(f"{path} lists {repeated[0]!r} more than once; mend the file")
        for clip in clips:
            yield self._sample(clip, split)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "clip", samples, listed=True, follow_links=self._rules.follow_links)

    def _sample(self, clip: str, split: str) -> ListedSample:
        sample_id = f"{self._name}/{split}/{clip}"
        frames = self._root / "JPEGImages" / "480p" / clip
        masks = self._root / "Annotations" / "480p" / clip
        try:
            if not is_safe_name(clip):
                raise BadSample(f"the list has {clip!a}, which is no name of a clip")
            if not frames.is_dir():
                raise AbsentFiles(f"its frames are missing: there is no folder {frames}")
            check_stays_inside(frames.parent, frames, repr(clip), self._rules.follow_links)
            if masks.is_dir():
                check_stays_inside(masks.parent, masks, repr(clip), self._rules.follow_links)
        except BadSample as error:
            return broken_sample(sample_id, error, frames, masks)
        if not masks.is_dir():
            return unmeasured_sample(
                sample_id,
                self._root,
                frames,
                "clip",
                {},
                frames_per_second=FRAMES_PER_SECOND,
                rules=self._rules,
                gaps=self._rules.gaps(),
            )
        names = ["background", *(f"object {number}" for number in range(1, _MOST_OBJECTS + 1))]
        return unmeasured_sample(
            sample_id,
            self._root,
            frames,
            "clip",
            {"labels": {"classes": names, "ignore": None}},
            frames_per_second=FRAMES_PER_SECOND,
            labels=masks,
            rules=self._rules,
            gaps=self._rules.gaps(),
        )
