"""One of several letters, as in multiple choice."""

import re
from collections.abc import Sequence

from foresight_cache.answers.judging import Judgement, compared, undecided
from foresight_cache.answers.judging.words import refusal

_REFERENCE = re.compile(r"\(?([A-H])\)?[.:]?")
_ALONE = re.compile(r"\W*([A-Ha-h])\W*")
_STATED = re.compile(r"(?i:answer|choice|option)(?:\s+(?:is|would\s+be))?\s*:?\s*(?:(?i:option)\s+)?\(?([A-H])\b(?!')")
_MARKED = re.compile(r"(?:^|\s)(?:\(([A-H])\)|([A-H])[.):])(?=\s|$)")


def right_answers(references: Sequence[str]) -> list[str] | None:
    """Returns the right letters; None where any of the references is none.

    >>> right_answers(["B"]), right_answers(["(c)"]), right_answers(["(C)", "D."]), right_answers(["a cat"])
    (['B'], None, ['C', 'D'], None)
    """
    found = [_REFERENCE.fullmatch(reference.strip()) for reference in references]
    return [match[1] for match in found if match] if found and all(found) else None


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
    phrase = refusal(answer)
    return undecided(f"refuses: {phrase}" if phrase else "names no letter")
