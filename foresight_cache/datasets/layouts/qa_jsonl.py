"""Questions about images, one JSON object a line.

    ROOT/<split>.jsonl    {"image": "images/cup.jpg", "question": "…", "answer": "…", "hallucinated": false}

`image` is a path below ROOT. `answer` and `hallucinated` may be null or missing; `id`, `references` (right answers),
`type` and `source` (category, and benchmark) may be added.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from foresight_cache.datasets import ListedSample
from foresight_cache.datasets.parts.file_kinds import is_split_file
from foresight_cache.datasets.parts.qa import Questions
from foresight_cache.datasets.parts.question_reader import QuestionReader, read_json_lines
from foresight_cache.errors import BadSample

_KEYS = {"image", "question", "answer", "hallucinated", "id", "references", "type", "source"}


class Reader(QuestionReader):
    """Reader of the dataset family `qa_jsonl`; see `Questions` for ids and groups."""

    wanted = "*.jsonl"
    layout = "expected ROOT/<split>.jsonl with one JSON object a line"

    def _files(self) -> Mapping[str, Path]:
        return {path.stem: path for path in sorted(self._root.glob("*.jsonl")) if is_split_file(path.stem)}

    def _listed(self, path: Path, questions: Questions) -> Iterator[ListedSample]:
        for where, entry in read_json_lines(path):
            if isinstance(entry, BadSample):
                yield questions.broken(str(entry), where)
            elif unknown := sorted(entry.keys() - _KEYS):
                keys = ", ".join(sorted(_KEYS))
                problem = f"it has the key {ascii(unknown[0])[:60]}; keys: {keys}"
                yield questions.broken(f"the line cannot be used: {problem}", where)
            else:
                own_id = entry.get("id")
                yield questions.sample(entry, entry.get("image"), where=where, folders=(self._root,), own_id=own_id)
