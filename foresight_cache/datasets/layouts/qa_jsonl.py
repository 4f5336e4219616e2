"""Questions about images, one JSON object a line.

    ROOT/<split>.jsonl    {"image": "images/cup.jpg", "question": "…", "answer": "…", "hallucinated": false}

`image` is a path below ROOT. `answer` and `hallucinated` may be null or missing; `id`, `references` (right answers),
`type` and `source` (category, and benchmark) and `objects` (what is in the image, as the schema of annotations has it)
may be added.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from foresight_cache.datasets import ListedSample, RawSample
from foresight_cache.datasets.parts.file_kinds import is_split_file
from foresight_cache.datasets.parts.qa import Questions
from foresight_cache.datasets.parts.question_reader import QuestionReader, read_json_lines
from foresight_cache.errors import BadSample
from foresight_cache.records import shown

_KEYS = {"image", "question", "answer", "hallucinated", "id", "references", "type", "source", "objects"}
_OBJECT = {"box", "category", "category_id", "crowd", "area", "annotation_id"}


class Reader(QuestionReader):
    """Reader of the dataset family `qa_jsonl`; see `Questions` for ids and groups."""

    wanted = "*.jsonl"
    layout = "expected ROOT/<split>.jsonl with one JSON object a line"

    def _files(self) -> Mapping[str, Path]:
        return {path.stem: path for path in sorted(self._root.glob("*.jsonl")) if is_split_file(path.stem)}

    def _listed(self, path: Path, questions: Questions) -> Iterator[ListedSample]:
        for where, entry in read_json_lines(path):
            problem = entry if isinstance(entry, BadSample) else _problem(entry)
            if isinstance(entry, BadSample) or problem is not None:
                yield questions.broken(str(problem), where)
                continue
            own_id = entry.get("id")
            listed = questions.sample(entry, entry.get("image"), where=where, folders=(self._root,), own_id=own_id)
            if isinstance(listed, RawSample) and entry.get("objects") is not None:
                annotations = {**listed.sample.annotations, "objects": entry["objects"]}
                listed = replace(listed, sample=replace(listed.sample, annotations=annotations))
            yield listed


def _problem(entry: Mapping[str, Any]) -> str | None:
    """Returns why the keys or the objects of a line cannot be used; packing checks boxes, when the size is known."""
    if unknown := sorted(entry.keys() - _KEYS):
        keys = ", ".join(sorted(_KEYS))
        return f"the line cannot be used: it has the key {ascii(unknown[0])[:60]}; keys: {keys}"
    objects = entry.get("objects")
    sound = objects is None or isinstance(objects, list)
    if not sound or not all(isinstance(thing, dict) and thing.keys() >= _OBJECT for thing in objects or ()):
        expected = f"a list with {', '.join(sorted(_OBJECT))} in each"
        return f"the line cannot be used: its objects are {shown(objects)}, expected {expected}"
    return None
