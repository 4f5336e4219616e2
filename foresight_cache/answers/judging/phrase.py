"""A word or phrase that a right answer holds. What holds none of them may still be right in other words: undecided."""

from collections.abc import Sequence

from foresight_cache.answers.judging import Judgement, Outcome, undecided
from foresight_cache.answers.judging.words import places, refusal, sentences, words

_NEGATIONS = {"no", "not", "isn't", "aren't", "wasn't", "don't", "doesn't", "didn't", "without", "never", "neither"}
_NEAR = 4
"""Words before a phrase in which a negation is taken to be of it."""
_HEDGES = ("might be", "may be", "could be", "possibly", "perhaps", "or")


def right_answers(references: Sequence[str]) -> list[str] | None:
    """Returns the phrases that have words; None where there is none.

    >>> right_answers(["A red bus", " "]), right_answers([])
    (['A red bus'], None)
    """
    return [reference for reference in references if words(reference)] or None


def judge(answer: str, references: Sequence[str]) -> Judgement:
    """Judges an answer right that holds a phrase whole, without a negation or a doubt about it; never wrong."""
    right = right_answers(references)
    if right is None:
        raise ValueError(f"{references} hold no words")
    if phrase := refusal(answer):
        return undecided(f"refuses: {phrase}")
    doubts = ""
    for sentence in map(words, sentences(answer)):
        for phrase in right:
            for place in places(phrase, sentence):
                if _NEGATIONS & set(sentence[max(0, place - _NEAR) : place]):
                    doubts = f"denies {phrase!r}"
                elif any(places(hedge, sentence) for hedge in _HEDGES):
                    doubts = f"is not sure of {phrase!r}"
                else:
                    return Judgement(Outcome.RIGHT, f"says {phrase!r}")
    return undecided(doubts or "holds none of the right answers")
