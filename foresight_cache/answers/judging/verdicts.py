"""Judgements of all answers, by rules and by others, and where each comes from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foresight_cache.answer_lines import Answer
from foresight_cache.answers.judging import Judgement, Outcome
from foresight_cache.answers.judging.rules import judged, rules_digest
from foresight_cache.errors import AnswersError
from foresight_cache.json_lines import read_json_lines
from foresight_cache.records import is_text, shown

_OUTCOMES = {True: Outcome.WRONG, False: Outcome.RIGHT, None: Outcome.UNDECIDED}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an answer, and who says so."""

    answer: Answer
    judgement: Judgement
    judge: str
    version: str
    """Digest of the rules, or what another judge says of itself."""

    def to_line(self) -> dict[str, Any]:
        """Returns the answer's line with `outcome`, `hallucinated` (null: undecided), `reason`, `judge`, `version`."""
        found = self.judgement
        own = {"outcome": str(found.outcome), "hallucinated": found.hallucinated, "reason": found.reason}
        return {**self.answer.fields, **own, "judge": self.judge, "version": self.version}


def by_rules(answers: Iterable[Answer], benchmark: str) -> list[Verdict]:
    """Judges answers by the rules of a benchmark. Raises `UnknownName`."""
    judge, version = f"rules:{benchmark}", rules_digest(benchmark)
    return [
        Verdict(each, judged(each.answer, each.references, benchmark, cut=each.cut), judge, version) for each in answers
    ]


@dataclass(frozen=True, slots=True)
class ImportedLine:
    """What a person or another program says of an answer."""

    hallucinated: bool | None
    judge: str
    version: str
    note: str


def read_imported(path: Path) -> dict[str, ImportedLine]:
    """Reads lines of `id`, `hallucinated` (true, false or null), `judge`, and perhaps `version` and `note`, by id.

    Raises `AnswersError`, also where two lines say different things of one answer.
    """
    found: dict[str, ImportedLine] = {}
    for where, fields in read_json_lines(path):
        name, line = fields.get("id"), _imported(fields, where)
        if not is_text(name):
            raise AnswersError(f"{where} has the id {shown(name)}, expected a text")
        if name in found and found[name].hallucinated is not line.hallucinated:
            raise AnswersError(f"{where} contradicts an earlier line on the answer {name!r}; leave one of them")
        found.setdefault(name, line)
    return found


def with_imported(verdicts: Iterable[Verdict], imported: Mapping[str, ImportedLine]) -> tuple[list[Verdict], list[str]]:
    """Returns verdicts in which lines from elsewhere, but those of null, stand in the place of rules.

    Raises `AnswersError` for a line on an answer that is not there, as where it is of another dataset.

    Returns: the verdicts, and the ids of those on which rules and line decide differently; there the line stands.
    """
    found, differing = list(verdicts), []
    unknown = imported.keys() - {verdict.answer.id for verdict in found}
    if unknown:
        raise AnswersError(
            f"{len(unknown):,} of {len(imported):,} judgements are of answers that are not there, such as "
            f"{min(unknown)!r}; they belong to other answers"
        )
    for place, verdict in enumerate(found):
        line = imported.get(verdict.answer.id)
        if line is None or line.hallucinated is None:
            continue
        if verdict.judgement.hallucinated is (not line.hallucinated):
            differing.append(verdict.answer.id)
        judgement = Judgement(_OUTCOMES[line.hallucinated], line.note or f"says {line.judge}")
        found[place] = Verdict(verdict.answer, judgement, line.judge, line.version)
    return found, differing


def to_be_judged(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Returns lines for a person or another judge to fill in, of the answers that are undecided."""
    asked = [verdict for verdict in verdicts if verdict.judgement.outcome is Outcome.UNDECIDED]
    blank = {"hallucinated": None, "judge": "", "version": "", "note": ""}
    return [
        {
            "id": verdict.answer.id,
            **{name: verdict.answer.fields.get(name) for name in ("question", "answer", "references")},
            "reason": verdict.judgement.reason,
            **blank,
        }
        for verdict in asked
    ]


def _imported(fields: Mapping[str, Any], where: str) -> ImportedLine:
    hallucinated, judge = fields.get("hallucinated"), fields.get("judge")
    if not (hallucinated is None or isinstance(hallucinated, bool)) or "hallucinated" not in fields:
        raise AnswersError(f"{where} has the 'hallucinated' {shown(hallucinated)}, expected true, false or null")
    if hallucinated is not None and not is_text(judge):
        raise AnswersError(f"{where} has the judge {shown(judge)}, expected a text: who says so")
    texts = {name: fields.get(name) or "" for name in ("version", "note")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise AnswersError(f"{where} has the {name} {shown(text)}, expected a text")
    return ImportedLine(hallucinated, judge or "", **texts)
