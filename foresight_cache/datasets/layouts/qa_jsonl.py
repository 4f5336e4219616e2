"""Questions about images, one JSON object a line.

    ROOT/<split>.jsonl    {"image": "images/cup.jpg", "question": "…", "answer": "…", "hallucinated": false}

`image` is a path below ROOT. `answer` and `hallucinated` may be null or missing; `id`, `references` (right answers),
`type`, `source` and `objects` (what is in the image, as the schema of annotations has it) may be added.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.file_kinds import is_split_file
from foresight_cache.datasets.parts.listed_samples import check_split
from foresight_cache.datasets.parts.qa import Questions
from foresight_cache.errors import DatasetError
from foresight_cache.records import shown

_LAYOUT = "expected ROOT/<split>.jsonl with one JSON object a line"
_LONGEST = 1 << 20
"""Largest number of bytes of a line."""
_KEYS = {"image", "question", "answer", "hallucinated", "id", "references", "type", "source", "objects"}
_OBJECT = {"box", "category", "category_id", "crowd", "area", "annotation_id"}


class Reader:
    """Reader of the dataset family `qa_jsonl`; see `Questions` for ids and groups."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a file of questions. Raises `DatasetError` where there is none."""
        if not self._root.is_dir():
            raise DatasetError(f"there is no folder {self._root}; {_LAYOUT}")
        files = sorted(path for path in self._root.glob("*.jsonl") if is_split_file(path.stem))
        if not files:
            raise DatasetError(f"{self._root} holds no *.jsonl; {_LAYOUT}")
        return tuple(path.stem for path in files)

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the lines; empty lines are passed over. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        questions = Questions(self._name, split, self._root, self._rules)
        with (self._root / f"{split}.jsonl").open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield self._sample(line, f"line {number}", split, questions)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "image", samples, listed=True, follow_links=self._rules.follow_links)

    def _sample(self, line: bytes, where: str, split: str, questions: Questions) -> ListedSample:
        try:
            entry = _entry(line)
            objects = _objects(entry)
        except (ValueError, RecursionError) as error:
            return BrokenSample(id=f"{self._name}/{split}/{where}", reason=f"the line cannot be used: {error}")
        listed = questions.sample(entry, entry.get("image"), where=where, folders=(self._root,), own_id=entry.get("id"))
        if isinstance(listed, BrokenSample) or objects is None:
            return listed
        annotations = {**listed.sample.annotations, "objects": objects}
        return replace(listed, sample=replace(listed.sample, annotations=annotations))


def _entry(line: bytes) -> dict[str, Any]:
    if len(line) > _LONGEST:
        raise ValueError(f"it has {len(line)} bytes, expected at most {_LONGEST}")
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError(f"it is a JSON {type(entry).__name__}, expected an object")
    if unknown := sorted(entry.keys() - _KEYS):
        raise ValueError(f"it has the key {ascii(unknown[0])[:60]}; keys: {', '.join(sorted(_KEYS))}")
    return entry


def _objects(entry: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Returns what a line says of objects, if anything. Packing checks it whole, when the image's size is known."""
    objects = entry.get("objects")
    sound = objects is None or isinstance(objects, list)
    if not sound or not all(isinstance(thing, dict) and thing.keys() >= _OBJECT for thing in objects or ()):
        raise ValueError(f"its objects are {shown(objects)}, expected a list with {', '.join(sorted(_OBJECT))} in each")
    return objects
