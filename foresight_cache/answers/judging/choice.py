"""One of several letters, as in multiple choice, or the text of the right choice where that is known too."""

import re
from collections.abc import Sequence

from foresight_cache.answers.judging import Judgement, compared, number, phrase, undecided, yes_no
from foresight_cache.answers.judging.words import refusal

_REFERENCE = re.compile(r"\(?([A-H])\)?[.:]?")
_LETTER = re.compile(r"[A-H]")
_ALONE = re.compile(r"\W*([A-Ha-h])\W*")
_STATED = re.compile(r"(?i:answer|choice|option)(?:\s+(?:is|would\s+be))?\s*:?\s*(?:(?i:option)\s+)?\(?([A-H])\b(?!')")
_MARKED = re.compile(r"(?:^|\s)(?:\(([A-H])\)|([A-H])[.):])(?=\s|$)")


def right_answers(references: Sequence[str]) -> list[str] | None:
    """Returns the right letters; None where any of the references is none, and no plain letter stands beside it.

    >>> right_answers(["B"]), right_answers(["(c)"]), right_answers(["(C)", "D."]), right_answers(["a cat"])
    (['B'], None, ['C', 'D'], None)
    >>> right_answers(["a cat", "B"])
    ['B']
    """
    found = [match[1] for match in map(_match, references) if match]
    if len(found) == len(references) or any(map(_LETTER.fullmatch, references)):
        return found or None
    return None


def texts(references: Sequence[str]) -> list[str]:
    """Returns what the right choice says, where references have that beside its letter.

    >>> texts(["a cat", "B"]), texts(["B"])
    (['a cat'], [])
    """
    return [reference for reference in references if not _match(reference)]


def _match(reference: str) -> re.Match[str] | None:
    return _REFERENCE.fullmatch(reference.strip())


def judge(answer: str, references: Sequence[str]) -> Judgement:
    """Judges by the letter that stands alone, behind "answer", or marked as (B) or B.; an article is no letter."""
    right = right_answers(references)
    if right is None:
        raise ValueError(f"{references} are no letters")
    text = answer.replace("*", "").strip()
    if alone := _ALONE.fullmatch(text):
        return compared(alone[1].upper(), right)
    for pattern in (_STATED, _MARKED):
        letters = {next(filter(None, match.groups())).upper() for match in pattern.finditer(text)}
        if len(letters) == 1:
            return compared(letters.pop(), right)
        if letters:
            return undecided(f"names several letters: {', '.join(sorted(letters))}")
    if refused := refusal(answer):
        return undecided(f"refuses: {refused}")
    said = texts(references)
    rule = next((each for each in (yes_no, number, phrase) if each.right_answers(said) is not None), None)
    return undecided("names no letter") if rule is None else rule.judge(answer, said)
