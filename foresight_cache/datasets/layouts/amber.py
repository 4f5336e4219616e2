"""AMBER's discriminative part as its owners publish it: questions of yes or no, answers in a file of their own.

    ROOT/data/query/query_discriminative.json    [{"id": 1005, "image": "AMBER_1.jpg", "query": "Is …?"}, …]
    ROOT/data/annotations.json                   [{"id": 1005, "type": "discriminative-…", "truth": "yes"}, …]
    ROOT/images/<image>   or   ROOT/<image>

Read in junyangwang0410/AMBER at 5e1fd52; where the archive of images has them is not said there.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.question_reader import BenchmarkReader, entries_of, id_text, text_under
from foresight_cache.datasets.parts.text_files import read_json
from foresight_cache.errors import BadSample, DatasetError

_PREFIX = "discriminative-"
_ONE_TYPE = {"relation": "discriminative-relation"}
"""Types that `inference.py` counts as another one. `relation` is only of questions whose answer is no."""


class Reader(BenchmarkReader):
    """Reader of the dataset family `amber`; ids are `<name>/test/<id>`."""

    title = "AMBER"
    wanted = "query_discriminative.json"
    layout = "expected ROOT/data/query/query_discriminative.json and ROOT/data/annotations.json"
    keys = ("id", "image", "query")

    def _files(self) -> Mapping[str, Path]:
        path = self._root / "data" / "query" / "query_discriminative.json"
        return {"test": path} if path.is_file() else {}

    def _entries(self, path: Path) -> Iterable[tuple[str, Any]]:
        answers = self._root / "data" / "annotations.json"
        if not answers.is_file():
            raise DatasetError(f"there is no {answers}, which has the answers to {path.name}; {self.layout}")
        self._answers: dict[str, Mapping[str, Any]] = {}
        for where, answer in entries_of(read_json(answers), answers, self.title):
            if not isinstance(answer, dict) or type(answer.get("id")) is not int:
                raise DatasetError(f"{where} of {answers} has no 'id' that is a number; get the file again")
            if self._answers.setdefault(str(answer["id"]), answer) is not answer:
                raise DatasetError(f"{answers} has the id {answer['id']} twice; which answer is meant is unknown")
        return entries_of(read_json(path), path, self.title)

    def _image_folders(self) -> Sequence[Path]:
        return (self._root / "images", self._root)

    def _names(self, entry: Mapping[str, Any]) -> tuple[str, Any, str | None]:
        return id_text(entry["id"], "id"), entry["image"], None

    def _question(self, entry: Mapping[str, Any], split: str) -> dict[str, Any]:  # noqa: ARG002 - one split
        answer = self._answers.get(id_text(entry["id"], "id"))
        if answer is None:
            raise BadSample(f"its id {entry['id']!r} has no answer in annotations.json")
        kind = text_under(answer, "type")
        kind = _ONE_TYPE.get(kind, kind)
        if not kind.startswith(_PREFIX):
            raise BadSample(f"its type in annotations.json is {kind!r}, expected one that begins with {_PREFIX!r}")
        truth = text_under(answer, "truth", "'yes' or 'no'")
        return {"question": entry["query"], "references": [truth], "type": kind, "source": "amber"}
