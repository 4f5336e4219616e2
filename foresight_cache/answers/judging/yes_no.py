"""Yes or no, as POPE, AMBER's discriminative questions, MME and HallusionBench ask."""

import re
from collections.abc import Sequence

from foresight_cache.answers.judging import Judgement, compared, undecided
from foresight_cache.answers.judging.words import plain, refusal, sentences, words

_MEANS = {"yes": "yes", "y": "yes", "true": "yes", "no": "no", "n": "no", "false": "no"}
"""What a right answer may be written as; AMBER has "n, o" here and there, whose letters are joined."""
_SAYS = {"yes": "yes", "yeah": "yes", "yep": "yes", "true": "yes", "no": "no", "nope": "no", "false": "no"}
_BOTH = re.compile(r"\b(yes (and|or) no|no (and|or) yes|yes\s*/\s*no)\b")
_STATED = re.compile(r"\b(?:answer|response)(?: to [^.:]{1,60})?(?: is| would be)?\s*:?\s*[\"']?(yes|no)\b")
_SHORT = 3
"""Words up to which an answer that holds a yes or no anywhere is taken to say it."""


def right_answers(references: Sequence[str]) -> list[str] | None:
    """Returns the right answers as yes or no; None where any is something else.

    >>> right_answers(["Yes."]), right_answers(["n, o"]), right_answers(["yes", "a cat"])
    (['yes'], ['no'], None)
    """
    meant = [_MEANS.get("".join(words(reference))) for reference in references]
    return [each for each in meant if each] if meant and all(meant) else None


def judge(answer: str, references: Sequence[str]) -> Judgement:
    """Judges an answer by right ones that `right_answers` knows. What begins with yes or no says it."""
    right = right_answers(references)
    if right is None:
        raise ValueError(f"{references} are no right answers to a question of yes or no")
    said = _said(answer)
    return compared(said, right) if said in ("yes", "no") else undecided(said)


def _said(answer: str) -> str:
    """Returns yes or no, or why it says neither."""
    parts = sentences(answer)
    if not parts:
        return "says nothing"
    if _BOTH.search(plain(answer)):
        return "says both yes and no"
    first = words(parts[0])
    openings = {_SAYS[words(part)[0]] for part in parts if words(part)[0] in _SAYS}
    if len(openings) > 1:
        return "says both yes and no"
    if phrase := refusal(parts[0]):
        return f"refuses: {phrase}"
    if first[0] in _SAYS:
        return _SAYS[first[0]]
    stated: set[str] = set(_STATED.findall(plain(answer)))
    if len(stated) == 1:
        return stated.pop()
    if len(first) <= _SHORT and len(parts) == 1 and len(said := {_SAYS[word] for word in first if word in _SAYS}) == 1:
        return said.pop()
    if phrase := refusal(answer):
        return f"refuses: {phrase}"
    return openings.pop() if len(openings) == 1 else "says neither yes nor no"
