"""HaloQuest as its authors publish it: a table of questions per split, images fetched from the addresses in it.

    ROOT/haloquest-<split>.csv    image_name, url, image type, hallucination type, question,
                                  groundtruth responses, split
    ROOT/images/<image_name>      or   ROOT/<split>/<image_name>   or   ROOT/<image_name>

`groundtruth responses` are right answers, separated by `;`. The columns `answer` and `hallucinated` (true or false)
may be added: a model's answer, and whether it was graded as hallucinated.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.listed_samples import check_split
from foresight_cache.datasets.parts.qa import Questions
from foresight_cache.datasets.parts.text_files import read_table
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.samples import is_safe_name

_LAYOUT = "expected ROOT/haloquest-<split>.csv"
_REQUIRED_COLUMNS = ("image_name", "hallucination type", "question", "groundtruth responses")
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "": None}


class Reader:
    """Reader of the dataset family `haloquest`; see `Questions` for ids and groups."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a table. Raises `DatasetError` where there is none."""
        if not self._root.is_dir():
            raise DatasetError(f"there is no folder {self._root}; {_LAYOUT}")
        names = [re.fullmatch(r"haloquest-(.+)\.csv", path.name) for path in sorted(self._root.iterdir())]
        splits = tuple(name[1] for name in names if name and is_safe_name(name[1]))
        if not splits:
            raise DatasetError(f"{self._root} holds no table of questions; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the table. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        questions = Questions(self._name, split, self._root, self._rules)
        folders = (self._root / "images", self._root / split, self._root)
        rows = read_table(self._root / f"haloquest-{split}.csv", _REQUIRED_COLUMNS)
        for number, row in enumerate(rows, start=1):
            if isinstance(row, BadSample):
                yield BrokenSample(id=f"{self._name}/{split}/row {number}", reason=str(row))
                continue
            yield questions.sample(_qa(row), row["image_name"], where=f"row {number}", folders=folders)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "image", samples, listed=True, follow_links=self._rules.follow_links)


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
    }
