"""MathVista's testmini as its owners publish it: mathematical questions about images, free or of several choices.

    ROOT/data/testmini.json    {"1": {"pid": "1", "question": "…", "image": "images/1.jpg", "choices": null,
                                "unit": null, "answer": "1.2", "question_type": "free_form",
                                "answer_type": "float"}, …}
    ROOT/data/images/<n>.jpg

Unit and choices are put behind the question as `evaluation/build_query.py` does, without its hint and its examples. Of
several choices the right answer is known by its text and, as in `evaluation/calculate_score.py`, by its letter.
Read in lupantech/MathVista at a2206f4 (questions), c8221f0 and 2a249bb (evaluation) and 4198742 (README).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.question_reader import BenchmarkReader, id_text, one_of, text_under
from foresight_cache.datasets.parts.text_files import read_json
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import is_text, shown

_QUESTION_TYPES = {"multi_choice": "multi_choice", "free_form": "free_form"}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Reader(BenchmarkReader):
    """Reader of the dataset family `mathvista`; ids are `<name>/testmini/<pid>`."""

    title = "MathVista"
    wanted = "testmini.json"
    layout = "expected ROOT/data/testmini.json with the images in ROOT/data/images"
    keys = ("pid", "question", "image", "choices", "unit", "answer", "question_type", "answer_type")

    def _files(self) -> Mapping[str, Path]:
        path = self._root / "data" / "testmini.json"
        return {"testmini": path} if path.is_file() else {}

    def _entries(self, path: Path) -> Iterable[tuple[str, Any]]:
        document = read_json(path, unique_keys=True)
        if not isinstance(document, dict):
            found = f"it is a JSON {type(document).__name__}"
            raise DatasetError(f"{path} is no file of MathVista's questions: {found}, expected an object of problems")
        for key, entry in document.items():
            if isinstance(entry, dict) and "pid" in entry and entry["pid"] != key:
                entry = BadSample(f"its 'pid' is {shown(entry['pid'])}, expected {key!r}, under which it stands")
            yield f"problem {ascii(key)[1:-1]}", entry

    def _image_folders(self) -> Sequence[Path]:
        return (self._root / "data",)

    def _names(self, entry: Mapping[str, Any]) -> tuple[str, Any, str | None]:
        return id_text(entry["pid"], "pid"), entry["image"], None

    def _question(self, entry: Mapping[str, Any], split: str) -> dict[str, Any]:  # noqa: ARG002 - one split
        kind = one_of(entry, "question_type", _QUESTION_TYPES)
        answer, question = text_under(entry, "answer"), text_under(entry, "question")
        if entry["unit"]:
            question += f" (Unit: {text_under(entry, 'unit', 'a text or null')})"
        choices = _choices(entry) if kind == "multi_choice" else ()
        if choices:
            question += "\nChoices:\n" + "\n".join(f"({letter}) {text}" for letter, text in choices)
        return {
            "question": question,
            "references": _references(answer, choices),
            "type": f"{kind}/{text_under(entry, 'answer_type')}",
            "source": "mathvista",
        }


def _choices(entry: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Returns letters and texts of the choices. Raises `BadSample`."""
    choices = entry["choices"]
    if not isinstance(choices, list) or not 0 < len(choices) <= len(_LETTERS) or not all(map(is_text, choices)):
        raise BadSample(f"its 'choices' are {shown(choices)}, expected a list of texts, 1 to {len(_LETTERS)}")
    return list(zip(_LETTERS, choices, strict=False))


def _references(answer: str, choices: Sequence[tuple[str, str]]) -> list[str]:
    """Returns the right answer, of several choices with its letter. Raises `BadSample` where it is none of them.

    A choice that is a letter itself is known by the letter of its place alone, as in the owners' evaluation.

    >>> _references("145°", [("A", "135°"), ("B", "145°")]), _references("A", [("A", "B"), ("B", "A")])
    (['145°', 'B'], ['B'])
    """
    if not choices:
        return [answer]
    letters = [letter for letter, text in choices if text.strip() == answer]
    if not letters:
        raise BadSample(f"its answer {shown(answer)} is none of its choices, expected one of them")
    return letters if len(answer) == 1 and answer in _LETTERS else [answer, *letters]
