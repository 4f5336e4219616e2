"""A number, in digits or as a word up to twenty."""

import math
import re
from collections.abc import Sequence

from foresight_cache.answers.judging import Judgement, Outcome, undecided
from foresight_cache.answers.judging.words import plain, refusal, words

_NAMES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_VALUES = {name: float(value) for value, name in enumerate(_NAMES)}
_DIGITS = re.compile(r"(?<![\w.])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w])|(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_STATED = re.compile(r"\banswer(?:\s+is|\s+would\s+be)?\s*[:=]?\s*(?:about |approximately )?(-?[\d,]*\.?\d+|[a-z]+)")
_NOT_COUNTS = {"the", "this", "that", "which", "each", "every", "any", "no", "another", "other"}
"""Words before a "one" that counts nothing."""


def right_answers(references: Sequence[str]) -> list[float] | None:
    """Returns the right numbers; None where any of the references is none.

    >>> right_answers(["3"]), right_answers(["1,200", "twelve"]), right_answers(["3 cats"])
    ([3.0], [1200.0, 12.0], None)
    """
    found = [_value(plain(reference)) for reference in references]
    return [each for each in found if each is not None] if found and None not in found else None


def judge(answer: str, references: Sequence[str]) -> Judgement:
    """Judges by the one number of an answer, or that behind "answer is"; several others are undecided."""
    right = right_answers(references)
    if right is None:
        raise ValueError(f"{references} are no numbers")
    stated = {value for text in _STATED.findall(plain(answer)) if (value := _value(text)) is not None}
    said = stated or _numbers(answer)
    if len(said) == 1:
        (value,) = said
        fits = any(math.isclose(value, each, rel_tol=1e-6, abs_tol=1e-9) for each in right)
        expected = "" if fits else f", not {' or '.join(f'{each:g}' for each in right)}"
        return Judgement(Outcome.RIGHT if fits else Outcome.WRONG, f"says {value:g}{expected}")
    if said:
        return undecided(f"names several numbers: {', '.join(f'{each:g}' for each in sorted(said))}")
    phrase = refusal(answer)
    return undecided(f"refuses: {phrase}" if phrase else "names no number")


def _numbers(answer: str) -> set[float]:
    text = plain(answer)
    found = {value for match in _DIGITS.findall(text) if (value := _value(match)) is not None}
    spoken = words(text)
    for place, word in enumerate(spoken):
        is_count = word != "one" or (spoken[place - 1 : place] or [""])[0] not in _NOT_COUNTS
        is_pronoun = word == "one" and spoken[place + 1 : place + 2] == ["of"]
        if word in _VALUES and is_count and not is_pronoun:
            found.add(_VALUES[word])
    return found


def _value(text: str) -> float | None:
    """Returns the number that a text is, and nothing else."""
    text = text.strip().rstrip(".%").strip()
    if text in _VALUES:
        return _VALUES[text]
    return float(text.replace(",", "")) if _DIGITS.fullmatch(text) else None
