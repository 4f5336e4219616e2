"""What a model has answered, as lines of a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foresight_cache.errors import AnswersError
from foresight_cache.json_lines import read_json_lines
from foresight_cache.records import is_text, shown

ROOT = "answers.json"
"""File in a folder of answers that says what they were made by."""
CUT = "length"
"""What `finish` says of an answer that ended with the limit of tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A line of answers."""

    id: str
    answer: str | None
    """None where the model gave none, as by a failure."""
    references: Sequence[str]
    """Right answers; empty where none is known."""
    type: str | None
    """Category of the question."""
    source: str | None
    """Benchmark or dataset of the question."""
    cut: bool
    """True where the answer ended with the limit of tokens."""
    fields: Mapping[str, Any]
    """The whole line."""


def read_answers(place: Path) -> list[Answer]:
    """Reads a file of lines, or all `*.jsonl` of a folder in the order of their names; all are of one model.

    A line has `id` (text) and `answer` (text or null), and may have `references` (list of texts), `type`, `source`,
    `model` and `finish`; other fields are kept. Raises `AnswersError`, also where two lines have one id.
    """
    if not place.exists():
        raise AnswersError(
            f"there is no {place}; expected a file of answers, one JSON object a line, or a folder of such"
        )
    if place.is_dir():
        _check_whole(place)
    files = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
    found: dict[str, Answer] = {}
    for path in files:
        for where, fields in read_json_lines(path):
            answer = _answer(fields, where)
            if answer.id in found:
                raise AnswersError(f"{where} has the id {answer.id!r} of an earlier line; ids must differ")
            found[answer.id] = answer
    if not found:
        raise AnswersError(f"{place} holds no answers; expected *.jsonl with one JSON object a line")
    models = {json.dumps(answer.fields.get("model"), sort_keys=True) for answer in found.values()}
    if len(models) > 1:
        raise AnswersError(
            f"{place} holds answers of {len(models)} models, such as {min(models)[:80]}; judge one alone"
        )
    return list(found.values())


def _check_whole(folder: Path) -> None:
    """Raises `AnswersError` for a folder of `foresight answers` that lacks shards."""
    root = folder / ROOT
    if root.exists():
        try:
            expected = len(json.loads(root.read_bytes())["shards"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise AnswersError(f"{root} cannot be read; make the answers again in another folder") from None
        if (found := len(list(folder.glob("*.jsonl")))) < expected:
            raise AnswersError(
                f"{folder} has answers to {found} of {expected} shards; run the same 'foresight answers' again"
            )


def _answer(fields: Mapping[str, Any], where: str) -> Answer:
    if not is_text(fields.get("id")):
        raise AnswersError(f"{where} has the id {shown(fields.get('id'))}, expected a text")
    answer, references = fields.get("answer"), fields.get("references") or []
    if "answer" not in fields or not (answer is None or answer == "" or is_text(answer)):
        raise AnswersError(f"{where} has the answer {shown(answer)}, expected a text, or null where there is none")
    if not isinstance(references, list) or not all(map(is_text, references)):
        raise AnswersError(f"{where} has the references {shown(references)}, expected a list of texts")
    for name in ("type", "source"):
        if fields.get(name) is not None and not is_text(fields[name]):
            raise AnswersError(f"{where} has the {name} {shown(fields[name])}, expected a text")
    return Answer(
        id=fields["id"],
        answer=answer,
        references=tuple(references),
        type=fields.get("type"),
        source=fields.get("source"),
        cut=fields.get("finish") == CUT,
        fields=fields,
    )
