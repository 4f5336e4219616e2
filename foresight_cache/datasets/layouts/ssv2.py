"""Something-Something v2, with the annotation files of either generation and the clips in any of their forms.

    ROOT/<annotations>     something-something-v2-{labels,train,validation,test}.json    the older names
                           {labels,train,validation,test}.json, test-answers.csv         the newer ones
    ROOT/<clips>/<id>.webm (or .mp4, .avi), or ROOT/<clips>/<id>/img_00001.jpg

Annotations lie in ROOT or in its folder `labels` or `annotations`; clips in ROOT or in its folder
`20bn-something-something-v2`, `videos` or `rawframes`, the first of these that there is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from foresight_cache.datasets import DEFAULT_RULES, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.clip_boxes import ClipBoxes
from foresight_cache.datasets.parts.clip_files import clips_by_stem, one_clip
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.listed_samples import broken_sample, check_split, unmeasured_sample
from foresight_cache.datasets.parts.text_files import read_json, read_lines
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import is_text, shown

SPLITS = ("train", "validation", "test")
_PREFIXES = ("something-something-v2-", "")
_ANNOTATION_FOLDERS = ("", "labels", "annotations")
_CLIP_FOLDERS = ("20bn-something-something-v2", "videos", "rawframes", "")
_ANSWERS = "test-answers.csv"
_LAYOUT = "expected ROOT/{,labels/,annotations/}{something-something-v2-,}{labels,train,validation,test}.json"

DIRECTIONS: Mapping[str, tuple[str, ...]] = {
    "left": ("Pulling something from right to left", "Pushing something from right to left"),
    "right": ("Pulling something from left to right", "Pushing something from left to right"),
    "up": (
        "Moving something up",
        "Picking something up",
        "Lifting something up completely without letting it drop down",
        "Lifting up one end of something without letting it drop down",
    ),
    "down": (
        "Moving something down",
        "Something falling like a feather or paper",
        "Something falling like a rock",
        "Letting something roll down a slanted surface",
    ),
    "towards": ("Moving something towards the camera",),
    "away": ("Moving something away from the camera",),
    "together": ("Moving something closer to something", "Moving something and something closer to each other"),
    "apart": ("Moving something away from something", "Moving something and something away from each other"),
    "camera left": ("Turning the camera left while filming something",),
    "camera right": ("Turning the camera right while filming something",),
    "camera up": ("Turning the camera upwards while filming something",),
    "camera down": ("Turning the camera downwards while filming something",),
    "camera towards": ("Approaching something with your camera",),
    "camera away": ("Moving away from something with your camera",),
}
"""Classes that say which way something moves, by direction; the others have none.

What moves with the camera is kept apart: when the camera turns left, the picture moves right.
"""
_DIRECTION_OF = {name.lower(): direction for direction, names in DIRECTIONS.items() for name in names}


class Reader:
    """Reader of the dataset family `ssv2`. Sample ids are `<name>/<split>/<clip id>`.

    A clip of the test split has an action only where `test-answers.csv` says it. Boxes of Something-Else are taken
    along where they are.
    """

    needs_boxes: ClassVar[bool] = False
    """True where boxes have to be there."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules
        self._remarks: dict[str, tuple[str, ...]] = {}

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have an annotation file. Raises `DatasetError` where there is none."""
        splits = tuple(self._annotation_files())
        if not splits:
            raise DatasetError(
                f"{self._root} is not a folder of Something-Something v2: it has no annotations; {_LAYOUT}"
            )
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the annotation file. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        classes = self._classes()
        answers = self._answers() if split == "test" else {}
        folder = self._clip_folder()
        clips = clips_by_stem(folder)
        boxes = self._boxes.of_split()
        for index, entry in enumerate(_entries(self._annotation_files()[split])):
            clip_id = _clip_id(entry)
            sample_id = f"{self._name}/{split}/{clip_id or f'records[{index}]'}"
            try:
                if clip_id is None:
                    raise BadSample(f"the entry {index} has no number or text without '/' under 'id'")
                clip = one_clip(clip_id, clips.get(clip_id, []), folder, self._rules.follow_links)
                annotations = _annotations({**entry, **answers.get(clip_id, {})}, classes, split)
                annotations |= boxes.of(clip_id)
            except BadSample as error:
                yield broken_sample(
                    sample_id, error, next(iter(clips.get(clip_id or "", ())), None), classes=_named_classes(entry)
                )
            else:
                yield unmeasured_sample(
                    sample_id, self._root, clip, "clip", annotations, rules=self._rules, gaps=self._rules.gaps()
                )
        if split != "test":  # of which none were published
            boxes.check_joined(split)
        self._remarks[split] = boxes.remarks()

    def remarks(self) -> tuple[str, ...]:
        """Returns sentences on boxes that are missing or contradict what is said of them, in the splits read so far."""
        return tuple(f"{split}: {remark}" for split, remarks in self._remarks.items() for remark in remarks)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "clip", samples, listed=True, follow_links=self._rules.follow_links)

    @cached_property
    def _boxes(self) -> ClipBoxes:
        """Returns the boxes of Something-Else. Raises `DatasetError` where they have to be there and are not."""
        boxes = ClipBoxes.load(self._root / folder for folder in _ANNOTATION_FOLDERS)
        if self.needs_boxes and not boxes.files:
            raise DatasetError(
                f"{self._root} has no boxes: there is no bounding_box_smthsmth_part1.json or other bounding_box….json; "
                "get them from the homepage of Something-Else, or prepare the clips as 'ssv2'"
            )
        return boxes

    def _annotation_files(self) -> dict[str, Path]:
        """Returns the annotation files that are there, by split."""
        return {split: path for split in SPLITS if (path := self._file(f"{split}.json"))}

    def _file(self, name: str) -> Path | None:
        """Returns the path of an annotation file of either generation."""
        paths = [self._root / folder / (prefix + name) for prefix in _PREFIXES for folder in _ANNOTATION_FOLDERS]
        return next((path for path in paths if path.is_file()), None)

    def _clip_folder(self) -> Path:
        return next(self._root / name for name in _CLIP_FOLDERS if (self._root / name).is_dir())

    def _classes(self) -> dict[str, int]:
        """Returns the numbers of the classes by name, lower case. Raises `DatasetError`."""
        path = self._file("labels.json")
        if path is None:
            raise DatasetError(f"{self._root} has no list of the classes: there is no labels.json; {_LAYOUT}")
        numbers = read_json(path)
        if not isinstance(numbers, dict) or not all(str(number).isdecimal() for number in numbers.values()):
            raise DatasetError(f"{path} is not a list of classes: expected a number for each class; get the file again")
        return {_class_of(name).lower(): int(number) for name, number in numbers.items()}

    def _answers(self) -> dict[str, dict[str, str]]:
        """Returns fields that the entries of the test split lack, by clip. Raises `DatasetError`."""
        path = self._file(_ANSWERS)
        if path is None:
            return {}
        answers = {}
        for number, line in enumerate(read_lines(path), start=1):
            clip_id, separator, name = line.partition(";" if ";" in line else ",")
            if line.strip() and not (separator and name.strip()):
                raise DatasetError(
                    f"{path}, line {number}: expected the id of a clip and its class; get the file again"
                )
            answers[clip_id.strip()] = {"template": name.strip().strip('"')}
        return answers


def _entries(path: Path) -> list[Any]:
    """Returns the entries of an annotation file. Raises `DatasetError` where it is no list, or has a clip twice."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DatasetError(f"{path} is not a list of clips; expected one entry for each; get the annotation file again")
    ids = Counter(clip_id for entry in entries if (clip_id := _clip_id(entry)))
    if repeated := [clip_id for clip_id, times in ids.items() if times > 1]:
        raise DatasetError(
            f"{path} lists the same clip more than once: {', '.join(repeated[:5])}; which entry is meant is "
            "unknown; mend the file"
        )
    return entries


def _clip_id(entry: Any) -> str | None:
    value = entry.get("id") if isinstance(entry, dict) else None
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if is_text(text) and text.isprintable() and "/" not in text and text not in (".", "..") else None


def _annotations(entry: Mapping[str, Any], classes: Mapping[str, int], split: str) -> dict[str, Any]:
    """Returns the action of a clip. Raises `BadSample`."""
    template = entry.get("template")
    if template is None and split == "test":
        return {}
    if not is_text(template):
        raise BadSample(f"its template is {shown(template)}, expected a text")
    name = _class_of(template)
    if name.lower() not in classes:
        raise BadSample(f"its template {template!a} is no class: labels.json does not list {name!a}")
    placeholders = entry.get("placeholders", [])
    if not isinstance(placeholders, list) or not all(map(is_text, placeholders)):
        raise BadSample(f"its placeholders are {shown(placeholders)}, expected a list of texts")
    label = entry.get("label")
    return {
        "action": {
            "label": label if is_text(label) else name,
            "template": template,
            "class": name,
            "class_id": classes[name.lower()],
            "direction": _DIRECTION_OF.get(name.lower()),
            "placeholders": placeholders,
        }
    }


def _named_classes(entry: Any) -> tuple[str, ...]:
    """Returns the class that an entry names, whether or not it is a right one; none where it names none."""
    template = entry.get("template") if isinstance(entry, dict) else None
    return (_class_of(template),) if is_text(template) else ()


def _class_of(template: str) -> str:
    """Returns the class that a template names.

    >>> _class_of("Holding [something] next to [something]")
    'Holding something next to something'
    """
    return template.replace("[", "").replace("]", "")
