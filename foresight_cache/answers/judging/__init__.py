"""Whether an answer is right, by rules of whole words: right, wrong, or undecided, and right only where a rule says so.

A rule knows one form of right answer (yes or no, a letter, a number, a phrase) and leaves what it cannot read
undecided. Undecided answers are for people or another judge, and count neither as right nor as wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of an answer."""

    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, and why."""

    outcome: Outcome
    reason: str

    @property
    def hallucinated(self) -> bool | None:
        """True for a wrong answer, False for a right one, None where that is not known."""
        return None if self.outcome is Outcome.UNDECIDED else self.outcome is Outcome.WRONG


def undecided(reason: str) -> Judgement:
    """Returns the judgement of what a rule cannot read."""
    return Judgement(Outcome.UNDECIDED, reason)


def compared(said: str, references: Sequence[str]) -> Judgement:
    """Returns whether what an answer says is one of the right ones, both in one spelling.

    >>> compared("no", ["yes"]).outcome, compared("no", ["no", "yes"]).outcome
    (<Outcome.WRONG: 'wrong'>, <Outcome.RIGHT: 'right'>)
    """
    if said in references:
        return Judgement(Outcome.RIGHT, f"says {said}")
    return Judgement(Outcome.WRONG, f"says {said}, not {' or '.join(references)}")
