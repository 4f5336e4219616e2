"""Reads files of questions about images: their splits, their entries, and what is wrong with either."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from foresight_cache.datasets import DEFAULT_RULES, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.listed_samples import check_split
from foresight_cache.datasets.parts.qa import Questions
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import is_text, shown

_LONGEST = 1 << 20
"""Largest number of bytes of a line."""


class QuestionReader(ABC):
    """Reader of questions about images, one file a split; see `Questions` for ids and groups."""

    wanted: ClassVar[str]
    """Files of questions, as a sentence on a folder without any calls them."""
    layout: ClassVar[str]
    """Clause that says what was expected of the folder."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a file of questions. Raises `DatasetError` where there is none."""
        if not self._root.is_dir():
            raise DatasetError(f"there is no folder {self._root}; {self.layout}")
        splits = tuple(self._files())
        if not splits:
            raise DatasetError(f"{self._root} holds no {self.wanted}; {self.layout}")
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the file. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        questions = Questions(self._name, split, self._root, self._rules)
        yield from self._listed(self._files()[split], questions)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "image", samples, listed=True, follow_links=self._rules.follow_links)

    @abstractmethod
    def _files(self) -> Mapping[str, Path]:
        """Returns the file of questions of each split that is there, in order."""

    @abstractmethod
    def _listed(self, path: Path, questions: Questions) -> Iterator[ListedSample]:
        """Yields the samples of one file of questions."""


class BenchmarkReader(QuestionReader):
    """Reader of a published benchmark: entries that all have the same keys, one of them the id."""

    title: ClassVar[str]
    """Name of the benchmark in sentences."""
    keys: ClassVar[tuple[str, ...]]
    """Keys that every question has."""

    def _listed(self, path: Path, questions: Questions) -> Iterator[ListedSample]:
        entries = list(self._entries(path))
        if not any(isinstance(entry, dict) and entry.keys() >= {*self.keys} for _, entry in entries):
            raise DatasetError(
                f"{path} is no file of {self.title}'s questions: none of its {len(entries):,} entries has the keys "
                f"{', '.join(self.keys)}; get it from the owners again"
            )
        folders = self._image_folders()
        for where, entry in entries:
            if isinstance(entry, BadSample):
                yield questions.broken(str(entry), where)
            elif not isinstance(entry, dict):
                yield questions.broken(f"it is a JSON {type(entry).__name__}, expected an object", where)
            elif missing := [key for key in self.keys if key not in entry]:
                problem = f"its key {missing[0]!r} is missing; {self.title}'s questions have {', '.join(self.keys)}"
                yield questions.broken(problem, where)
            elif not self._is_left_out(entry):
                yield self._sample(entry, where, folders, questions)

    def _sample(
        self, entry: Mapping[str, Any], where: str, folders: Sequence[Path], questions: Questions
    ) -> ListedSample:
        try:
            own_id, image, group = self._names(entry)
            qa = self._question(entry, questions.split)
        except BadSample as error:
            return questions.broken(str(error), where)
        return questions.sample(qa, image, where=where, folders=folders, own_id=own_id, group=group)

    @abstractmethod
    def _entries(self, path: Path) -> Iterable[tuple[str, Any]]:
        """Returns the entries of a file with the words that say where each stands. Raises `DatasetError`."""

    @abstractmethod
    def _image_folders(self) -> Sequence[Path]:
        """Returns the folders in which images are sought, by the names that entries give."""

    @abstractmethod
    def _names(self, entry: Mapping[str, Any]) -> tuple[str, Any, str | None]:
        """Returns a question's id, its image, and its group where that is not the image. Raises `BadSample`."""

    @abstractmethod
    def _question(self, entry: Mapping[str, Any], split: str) -> dict[str, Any]:
        """Returns a question, its fields named as in `Sample.annotations`. Raises `BadSample`."""

    def _is_left_out(self, entry: Mapping[str, Any]) -> bool:  # noqa: ARG002 - for benchmarks that have such
        """Returns whether an entry is no question about an image."""
        return False


def entries_of(document: Any, path: Path, title: str) -> list[tuple[str, Any]]:
    """Returns the entries of a JSON list, as `entry 1` and so on. Raises `DatasetError` where it is no list."""
    if not isinstance(document, list):
        found = f"it is a JSON {type(document).__name__}"
        raise DatasetError(f"{path} is no file of {title}'s questions: {found}, expected a list of questions")
    return [(f"entry {number}", entry) for number, entry in enumerate(document, start=1)]


def id_text(value: Any, key: str) -> str:
    """Returns an id, a number or a text, as text. Raises `BadSample`.

    >>> id_text(1005, "id"), id_text("a", "id")
    ('1005', 'a')
    """
    if type(value) is int or is_text(value):
        return str(value)
    raise BadSample(f"its {key!r} is {shown(value)}, expected a number or a text")


def text_under(entry: Mapping[str, Any], key: str, expected: str = "a text") -> str:
    """Returns a text of an entry, without space around it. Raises `BadSample`."""
    value = entry.get(key)
    if not is_text(value) or not value.strip():
        raise BadSample(f"its {key!r} is {shown(value)}, expected {expected}")
    return value.strip()


def one_of(entry: Mapping[str, Any], key: str, meanings: Mapping[str, str]) -> str:
    """Returns what the value of an entry means. Raises `BadSample` for one without a meaning.

    >>> one_of({"gt_answer": "1"}, "gt_answer", {"0": "no", "1": "yes"})
    'yes'
    """
    value = entry.get(key)
    if not isinstance(value, str) or value not in meanings:
        raise BadSample(f"its {key!r} is {shown(value)}, expected {' or '.join(map(repr, meanings))}")
    return meanings[value]


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any] | BadSample]]:
    """Yields the JSON objects of a file, one a line, as `line 1` and so on; empty lines are passed over.

    In place of a line that is none, the error to report.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield f"line {number}", _json_object(line)


def _json_object(line: bytes) -> dict[str, Any] | BadSample:
    try:
        if len(line) > _LONGEST:
            raise ValueError(f"it has {len(line)} bytes, expected at most {_LONGEST}")
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise ValueError(f"it is a JSON {type(entry).__name__}, expected an object")
    except (ValueError, RecursionError) as error:
        return BadSample(f"the line cannot be used: {error}")
    return entry
