"""POPE as its owners publish it: questions whether an object is in an image, by how the absent objects were drawn.

    ROOT/output/coco/coco_pope_<split>.json   or   ROOT/coco_pope_<split>.json
        {"question_id": 0, "image": "COCO_val2014_….jpg", "text": "Is there a …?", "label": "yes"}    one a line
    ROOT/val2014/<image>   or   ROOT/images/<image>   or   ROOT/<image>

Splits are `random`, `popular` and `adversarial`, which are of the same images.
Read in AoiDragon/POPE at 7ef3026 (files) and 04ed55d (README), where images go by the names of COCO's val2014.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.question_reader import BenchmarkReader, id_text, one_of, read_json_lines
from foresight_cache.samples import is_safe_name

_LABELS = {"yes": "yes", "no": "no"}


class Reader(BenchmarkReader):
    """Reader of the dataset family `pope`; ids are `<name>/<split>/<question_id>`."""

    title = "POPE"
    wanted = "coco_pope_<split>.json"
    layout = "expected ROOT/output/coco/coco_pope_<split>.json, or these files in ROOT"
    keys = ("question_id", "image", "text", "label")

    def _files(self) -> Mapping[str, Path]:
        inner = self._root / "output" / "coco"
        found = sorted((inner if inner.is_dir() else self._root).glob("coco_pope_*.json"))
        named = ((re.fullmatch(r"coco_pope_(.+)\.json", path.name), path) for path in found)
        return {name[1]: path for name, path in named if name and is_safe_name(name[1]) and path.is_file()}

    def _entries(self, path: Path) -> Iterable[tuple[str, Any]]:
        return read_json_lines(path)

    def _image_folders(self) -> Sequence[Path]:
        return (self._root / "val2014", self._root / "images", self._root)

    def _names(self, entry: Mapping[str, Any]) -> tuple[str, Any, str | None]:
        return id_text(entry["question_id"], "question_id"), entry["image"], None

    def _question(self, entry: Mapping[str, Any], split: str) -> dict[str, Any]:
        label = one_of(entry, "label", _LABELS)
        return {"question": entry["text"], "references": [label], "type": split, "source": "pope"}
