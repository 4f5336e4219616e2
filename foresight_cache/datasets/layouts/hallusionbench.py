"""HallusionBench as its owners publish it: questions of yes or no about figures, originals and edited ones.

    ROOT/HallusionBench.json    [{"category": "VD", "subcategory": "illusion", "visual_input": "1", "set_id": "0",
                                  "figure_id": "0", "question_id": "0", "question": "…", "gt_answer": "1",
                                  "filename": "./VD/illusion/0_0.png"}, …]
    ROOT/<filename>   or   ROOT/hallusion_bench/<filename>

Questions with `visual_input` 0 have no figure: they are left out, and counted. Figures of one set are versions of each
other, about which the same is asked, so they are one group.
Read in tianyi-lab/HallusionBench at 89db601 (questions, `utils.py`) and 14a1779 (README); at 4e75e5d file names begin
with `./hallusion_bench/`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.question_reader import BenchmarkReader, entries_of, id_text, one_of, text_under
from foresight_cache.datasets.parts.text_files import read_json

_ANSWERS = {"0": "no", "1": "yes", "2": "uncertain"}
_NAMED_BY = ("category", "subcategory", "set_id", "figure_id", "question_id")
"""Keys whose values, joined, `utils.py` takes for the name of a question and holds to be different."""


class Reader(BenchmarkReader):
    """Reader of the dataset family `hallusionbench`; ids are as `VD_illusion_0_0_0`, see `_NAMED_BY`."""

    _without_figure = 0
    _entry_count = 0
    """Numbers of questions without a figure, and of all, in the file read last."""

    title = "HallusionBench"
    wanted = "HallusionBench.json"
    layout = "expected ROOT/HallusionBench.json, with the figures below ROOT or ROOT/hallusion_bench"
    keys = (*_NAMED_BY, "visual_input", "question", "gt_answer", "filename")

    def _files(self) -> Mapping[str, Path]:
        path = self._root / "HallusionBench.json"
        return {"test": path} if path.is_file() else {}

    def _entries(self, path: Path) -> Iterable[tuple[str, Any]]:
        entries = entries_of(read_json(path), path, self.title)
        self._without_figure, self._entry_count = 0, len(entries)
        return entries

    def _is_left_out(self, entry: Mapping[str, Any]) -> bool:
        left_out = str(entry["visual_input"]) == "0"
        self._without_figure += left_out
        return left_out

    def remarks(self) -> tuple[str, ...]:
        """Returns what was left out of the questions read last."""
        if not self._without_figure:
            return ()
        told = f"{self._without_figure:,} of {self._entry_count:,} questions are left out"
        return (f"{told}, as they have no figure (visual_input 0)",)

    def _image_folders(self) -> Sequence[Path]:
        return (self._root, self._root / "hallusion_bench")

    def _names(self, entry: Mapping[str, Any]) -> tuple[str, Any, str | None]:
        parts = [id_text(entry[key], key) for key in _NAMED_BY]
        return "_".join(parts), entry["filename"], "/".join(parts[:3])

    def _question(self, entry: Mapping[str, Any], split: str) -> dict[str, Any]:  # noqa: ARG002 - one split
        kind = f"{text_under(entry, 'category')}/{text_under(entry, 'subcategory')}"
        answer = one_of(entry, "gt_answer", _ANSWERS)
        return {"question": entry["question"], "references": [answer], "type": kind, "source": "hallusionbench"}
