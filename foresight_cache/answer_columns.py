"""Answers of a model as columns of the sample table, joined by id."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from foresight_cache.answer_lines import Answer, read_answers
from foresight_cache.errors import AnswersError
from foresight_cache.sample_table import SampleTableRow

_OF_LINE = ("answer", "outcome", "hallucinated", "reason", "finish", "references", "type", "source", "judge")
"""Fields of a line that keep their names."""
_NUMBERS = ("mean_log_probability", "mean_entropy", "answer_tokens")
_OF_FIRST_TOKEN = {"p_yes": "p_yes", "p_no": "p_no", "entropy": "first_token_entropy"}
ANSWER_COLUMNS = (
    *("answer", "outcome", "hallucinated", "judge", "judge_version", "finish"),
    *("p_yes", "p_no", "first_token_log_probability", "first_token_entropy", *_NUMBERS),
)
"""Columns that the sample table has besides, each None where a line, or a sample's line, lacks it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerColumns:
    """What a file, or a folder, of answers says of each sample."""

    place: str
    digest: str
    """SHA-256 of the lines, hexadecimal."""
    fields: Mapping[str, Mapping[str, Any]]
    """Fields of `annotations["qa"]` by the id of the sample."""
    model: Mapping[str, Any]
    """What the lines say of the model that answered, such as its `name` and `fingerprint`; empty where nothing."""

    @classmethod
    def read(cls, place: str | Path) -> Self:
        """Reads lines as `foresight answers` or `foresight judge` writes them. Raises `AnswersError`."""
        path = Path(place).absolute()
        answers = read_answers(path)
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files))
        return cls(
            place=str(path),
            digest=digest.hexdigest(),
            fields={answer.id: _fields(answer) for answer in answers},
            model=_model(answers[0].fields.get("model")),
        )

    @classmethod
    def sent(cls, place: str, digest: str) -> Self:
        """Reads what another process has sent the place and the digest of. Raises `AnswersError`, also for others."""
        found = cls.read(place)
        if found.digest != digest:
            raise AnswersError(f"{place} holds other answers here than where they were sent from")
        return found

    def foreign_to(self, model: Mapping[str, Any], cache: str) -> str:
        """Returns in a sentence that another model answered than the one of a cache; empty where none is known to.

        Weights are compared by their digests, or models by their names where the lines have no digest.
        """
        field = "weights_digest" if "weights_digest" in self.model else "name"
        own, other = self.model.get(field), model.get(field)
        if not own or not other or own == other:
            return ""
        return (
            f"{self.place} has answers of {self.model.get('name', 'another model')}, and {cache} the features of "
            f"{model.get('name', 'another one')}: what is read are states of a model that did not give these answers"
        )

    def joined(self, rows: Iterable[SampleTableRow], cache: str) -> list[SampleTableRow]:
        """Returns rows with what is said of them in `annotations["qa"]`; what a sample says of itself is replaced.

        `reference` is the first right answer in lower case, so that probes can be asked for it as for a class. Raises
        `AnswersError` where no line is of these samples, or a line has another question than its sample.
        """
        found = [self._joined(row, cache) for row in rows]
        if found and not any(row["id"] in self.fields for row in found):
            raise AnswersError(
                f"{self.place} has no answer to any of the {len(found):,} samples of {cache}, such as "
                f"{found[0]['id']!r}; it has one to {next(iter(self.fields))!r}, so it is of another dataset"
            )
        return found

    def with_columns(self, row: SampleTableRow) -> dict[str, Any]:
        """Returns a row with those of `ANSWER_COLUMNS` besides."""
        said = self.fields.get(row["id"], {})
        return {**row, **{name: said.get(name) for name in ANSWER_COLUMNS}}

    def _joined(self, row: SampleTableRow, cache: str) -> SampleTableRow:
        own = row["annotations"].get("qa") or {}
        unanswered = {name: value for name, value in own.items() if name not in ("answer", "hallucinated")}
        said = self.fields.get(row["id"])
        if said is None:  # an answer that the dataset has is another model's
            return {**row, "annotations": {**row["annotations"], "qa": unanswered}} if own else row
        asked = said.get("question")
        if asked and own.get("question") and asked != own["question"]:
            raise AnswersError(
                f"{self.place} answers {asked[:60]!r} under the id {row['id']!r}, which asks "
                f"{own['question'][:60]!r} in {cache}; it is of another dataset"
            )
        known = {**unanswered, **said}
        if known.get("references"):
            known["reference"] = known["references"][0].strip().rstrip(".").lower()
        return {**row, "annotations": {**row["annotations"], "qa": known}}


def _model(said: object) -> dict[str, Any]:
    return dict(said) if isinstance(said, Mapping) else {"name": said} if isinstance(said, str) else {}


def _fields(answer: Answer) -> dict[str, Any]:
    """Returns the fields of an answer that are known, those of its first token among them, in one level."""
    line = answer.fields
    first = line.get("first_token") or {}
    if not isinstance(first, Mapping):
        raise AnswersError(f"the answer to {answer.id!r} has the first_token {first!r}, expected an object")
    top = first.get("top") or [{}]
    found = {
        **{name: line.get(name) for name in ("question", *_OF_LINE, *_NUMBERS)},
        "judge_version": line.get("version"),
        **{own: first.get(name) for name, own in _OF_FIRST_TOKEN.items()},
        "first_token_log_probability": top[0].get("log_probability"),
    }
    for name in (*_NUMBERS, *_OF_FIRST_TOKEN.values(), "first_token_log_probability"):
        if not isinstance(found[name], int | float | None) or isinstance(found[name], bool):
            raise AnswersError(f"the answer to {answer.id!r} has the {name} {found[name]!r}, expected a number")
    if not isinstance(found["hallucinated"], bool | None):
        raise AnswersError(
            f"the answer to {answer.id!r} has the 'hallucinated' {found['hallucinated']!r}, expected true, false or "
            "null"
        )
    return {name: value for name, value in found.items() if value is not None}
