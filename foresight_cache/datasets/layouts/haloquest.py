"""HaloQuest as its authors publish it: a table of questions per split, images fetched from the addresses in it.

    ROOT/haloquest-<split>.csv    image_name, url, image type, hallucination type, question,
                                  groundtruth responses, split
    ROOT/images/<image_name>      or   ROOT/<split>/<image_name>   or   ROOT/<image_name>

`groundtruth responses` are right answers, separated by `;`. The columns `answer` and `hallucinated` (true or false)
may be added: a model's answer, and whether it was graded as hallucinated.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foresight_cache.datasets import ListedSample
from foresight_cache.datasets.parts.qa import Questions
from foresight_cache.datasets.parts.question_reader import QuestionReader
from foresight_cache.datasets.parts.text_files import read_table
from foresight_cache.errors import BadSample
from foresight_cache.samples import is_safe_name

_REQUIRED_COLUMNS = ("image_name", "hallucination type", "question", "groundtruth responses")
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "": None}


class Reader(QuestionReader):
    """Reader of the dataset family `haloquest`; see `Questions` for ids and groups."""

    wanted = "table of questions"
    layout = "expected ROOT/haloquest-<split>.csv"

    def _files(self) -> Mapping[str, Path]:
        names = [(re.fullmatch(r"haloquest-(.+)\.csv", path.name), path) for path in sorted(self._root.iterdir())]
        return {name[1]: path for name, path in names if name and is_safe_name(name[1])}

    def _listed(self, path: Path, questions: Questions) -> Iterator[ListedSample]:
        folders = (self._root / "images", self._root / questions.split, self._root)
        for number, row in enumerate(read_table(path, _REQUIRED_COLUMNS), start=1):
            if isinstance(row, BadSample):
                yield questions.broken(str(row), f"row {number}")
            else:
                yield questions.sample(_qa(row), row["image_name"], where=f"row {number}", folders=folders)


def _qa(row: Mapping[str, str]) -> dict[str, Any]:
    """Returns the question of a row, its fields named as in `Sample.annotations`.

    >>> _qa({"question": "Q?", "groundtruth responses": "a; b;", "hallucination type": "false premises"})["references"]
    ['a', 'b']
    """
    graded = row.get("hallucinated", "").strip().lower()
    return {
        "question": row["question"],
        "answer": row.get("answer") or None,
        "hallucinated": _FLAGS.get(graded, graded),
        "references": [text.strip() for text in row["groundtruth responses"].split(";") if text.strip()],
        "type": row["hallucination type"].strip() or None,
        "source": "haloquest",
    }
