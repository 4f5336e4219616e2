"""Answers that were written by hand, with what a careful reader makes of them."""

import pytest

from foresight_cache.answers.judging import Outcome
from foresight_cache.answers.judging.rules import BENCHMARKS, judged, rules_digest
from foresight_cache.errors import UnknownName

RIGHT, WRONG, UNDECIDED = Outcome

YES_NO = [
    ("yes", "Yes", RIGHT),
    ("yes", "Yes.", RIGHT),
    ("yes", "yes, there is a dog in the image.", RIGHT),
    ("yes", "**Yes**, the picture shows two.", RIGHT),
    ("yes", "“Yes”", RIGHT),
    ("yes", "Yes, there is no doubt about it.", RIGHT),
    ("yes", "YES!", RIGHT),
    ("yes", "Yeah, on the left.", RIGHT),
    ("yes", "The answer is yes.", RIGHT),
    ("yes", "Answer: yes", RIGHT),
    ("yes", "Based on the image, the answer to the question is: Yes, it is red.", RIGHT),
    ("yes", "True", RIGHT),
    ("yes", "I say yes", RIGHT),
    ("yes", "No", WRONG),
    ("yes", "No, there is not.", WRONG),
    ("yes", "No, I do not see a dog, but there is a cat that looks like one. It lies on a red sofa.", WRONG),
    ("yes", "false", WRONG),
    ("yes", "Nope.", WRONG),
    ("no", "No", RIGHT),
    ("no", "no.", RIGHT),
    ("no", "No, there is no dog in the picture.", RIGHT),
    ("no", "No, yes-men are not in sight.", RIGHT),
    ("no", "The answer is no, since the street is empty.", RIGHT),
    ("no", "Answer: **No**", RIGHT),
    ("no", "Yes, there are three.", WRONG),
    ("no", "Yes. There is one behind the tree.", WRONG),
    ("n, o", "No, it is green.", RIGHT),
    ("n, o", "Yes, it is.", WRONG),
    ("No.", "Nope", RIGHT),
    ("y", "Yes", RIGHT),
    # Letters inside of words say nothing.
    ("no", "I know this place.", UNDECIDED),
    ("no", "Nothing of the kind is on the table.", UNDECIDED),
    ("no", "A knot in the rope", UNDECIDED),
    ("no", "It is a notebook.", UNDECIDED),
    ("no", "None of them", UNDECIDED),
    ("no", "Snow covers the yard.", UNDECIDED),
    ("yes", "His eyes are open.", UNDECIDED),
    ("yes", "Yesterday's paper lies there.", UNDECIDED),
    ("yes", "The image shows a dog on a lawn. It is brown and it runs after a ball.", UNDECIDED),
    ("yes", "There is a dog.", UNDECIDED),
    ("no", "There is no dog.", UNDECIDED),
    ("no", "There are no people in the image, so that nobody could have left the door open.", UNDECIDED),
    ("yes", "n, o", UNDECIDED),
    # Refusals and answers that say both.
    ("no", "I'm sorry, I can't help with that.", UNDECIDED),
    ("no", "I cannot determine this from the image.", UNDECIDED),
    ("no", "It is not possible to tell from the image whether there is a dog.", UNDECIDED),
    ("no", "As an AI, I have no eyes.", UNDECIDED),
    ("no", "Unclear.", UNDECIDED),
    ("yes", "I don’t know", UNDECIDED),
    ("no", "No, I am not sure about that.", UNDECIDED),
    ("yes", "Yes and no.", UNDECIDED),
    ("yes", "Yes or no, that depends.", UNDECIDED),
    ("no", "Yes/No", UNDECIDED),
    ("yes", "Yes, there is one. No, wait: it is a wolf.", UNDECIDED),
    ("yes", "", UNDECIDED),
    ("yes", "   \n", UNDECIDED),
    ("yes", "...", UNDECIDED),
    ("no", None, UNDECIDED),
]
CHOICES = [
    ("B", "B", RIGHT),
    ("B", "b", RIGHT),
    ("B", "(B)", RIGHT),
    ("B", "B.", RIGHT),
    ("B", "B. A red bus", RIGHT),
    ("B", "(B) a red bus", RIGHT),
    ("B", "The answer is B", RIGHT),
    ("B", "The correct answer is (B), since it is red.", RIGHT),
    ("B", "Option B", RIGHT),
    ("B", "**Answer: B**", RIGHT),
    ("(B)", "Answer: option B", RIGHT),
    ("B", "C", WRONG),
    ("B", "The answer is D.", WRONG),
    ("B", "A", WRONG),
    ("A", "A. one", RIGHT),
    ("A", "A red bus is in the image.", UNDECIDED),
    ("A", "It is a red bus.", UNDECIDED),
    ("B", "The answer is a red bus.", UNDECIDED),
    ("B", "Either B. or C. could be meant.", UNDECIDED),
    ("B", "The answer is B or the answer is C.", UNDECIDED),
    ("B", "a red bus", UNDECIDED),
    ("B", "Because of the colour", UNDECIDED),
    ("B", "I cannot determine the answer.", UNDECIDED),
    ("B", "", UNDECIDED),
]
NUMBERS = [
    ("3", "3", RIGHT),
    ("3", "three", RIGHT),
    ("3", "There are 3 cats.", RIGHT),
    ("3", "There are three cats on the sofa.", RIGHT),
    ("3", "3.0", RIGHT),
    ("three", "3", RIGHT),
    ("1200", "1,200", RIGHT),
    ("1200", "The answer is 1,200.", RIGHT),
    ("0.5", "0.5", RIGHT),
    ("-2", "x = -2", RIGHT),
    ("3", "The 2 dogs and 1 cat make three, so the answer is 3.", RIGHT),
    ("1", "One", RIGHT),
    ("1", "There is one cat.", RIGHT),
    ("0", "zero", RIGHT),
    ("3", "4", WRONG),
    ("3", "There are four cats.", WRONG),
    ("3", "13", WRONG),
    ("3", "30 %", WRONG),
    ("3", "The answer is 2.", WRONG),
    ("1", "The one on the left is black.", UNDECIDED),
    ("1", "One of them is black.", UNDECIDED),
    ("3", "2 or 3", UNDECIDED),
    ("3", "Two dogs and a cat and three birds", UNDECIDED),
    ("3", "There are several cats.", UNDECIDED),
    ("3", "MP3 player", UNDECIDED),
    ("10", "Often there are many.", UNDECIDED),
    ("3", "I can't tell how many there are.", UNDECIDED),
    ("3", "", UNDECIDED),
]
PHRASES = [
    ("red bus", "A red bus", RIGHT),
    ("red bus", "The image shows a **red bus**.", RIGHT),
    ("cat", "It is a cat.", RIGHT),
    ("The Eiffel Tower", "this is the eiffel tower, in Paris.", RIGHT),
    ("airline pilot", "He works as an airline pilot.", RIGHT),
    ("cat", "A catalogue", UNDECIDED),
    ("cat", "It is not a cat.", UNDECIDED),
    ("cat", "It isn’t a cat", UNDECIDED),
    ("cat", "It might be a cat.", UNDECIDED),
    ("cat", "A dog or a cat", UNDECIDED),
    ("red bus", "A bus that is red", UNDECIDED),
    ("cat", "A dog.", UNDECIDED),
    ("cat", "I'm unable to see the animal, a cat perhaps.", UNDECIDED),
    ("cat", "", UNDECIDED),
]


@pytest.mark.parametrize(("reference", "answer", "outcome"), YES_NO)
@pytest.mark.parametrize("benchmark", ["pope", "amber", "mme", "hallusionbench", "any"])
def test_yes_or_no(benchmark: str, reference: str, answer: str | None, outcome: Outcome) -> None:
    assert judged(answer, [reference], benchmark).outcome is outcome, judged(answer, [reference], benchmark).reason


@pytest.mark.parametrize(("reference", "answer", "outcome"), [*CHOICES, *NUMBERS, *PHRASES])
@pytest.mark.parametrize("benchmark", ["mathvista", "any"])
def test_letters_numbers_and_phrases(benchmark: str, reference: str, answer: str, outcome: Outcome) -> None:
    assert judged(answer, [reference], benchmark).outcome is outcome, judged(answer, [reference], benchmark).reason


def test_enough_answers_were_written_by_hand() -> None:
    assert len({*YES_NO, *CHOICES, *NUMBERS, *PHRASES}) >= 100


def test_any_of_several_references_makes_right_and_all_of_them_are_named_where_none_does() -> None:
    assert judged("4", ["3", "4"], "any").outcome is RIGHT
    assert judged("5", ["3", "4"], "any").reason == "says 5, not 3 or 4"
    assert judged("No", ["yes", "no"], "pope").outcome is RIGHT


@pytest.mark.parametrize(
    ("references", "answer", "outcome"),
    [
        (["145°", "C"], "C", RIGHT),
        (["145°", "C"], "(C) 145°", RIGHT),
        (["145°", "C"], "(B) 140°", WRONG),
        (["145°", "C"], "The angle is 145°.", RIGHT),
        (["145°", "C"], "140°", UNDECIDED),
        (["97", "A"], "m∠H = 97", RIGHT),
        (["97", "A"], "102", WRONG),
        (["97", "A"], "B", WRONG),
        (["Yes", "A"], "Yes.", RIGHT),
        (["Yes", "A"], "No, there are more.", WRONG),
        (["Yes", "A"], "A cat", UNDECIDED),  # an article, no letter
        (["Tadpole", "D"], "Tadpole", RIGHT),
        (["Tadpole", "D"], "A water flea", UNDECIDED),
        (["Tadpole", "D"], "I cannot determine whether it is a tadpole.", UNDECIDED),
        (["E"], "E", RIGHT),
    ],
)
def test_a_choice_is_known_by_its_letter_and_by_its_text(references: list[str], answer: str, outcome: Outcome) -> None:
    judgement = judged(answer, references, "mathvista")
    assert judgement.outcome is outcome, judgement.reason


def test_a_choice_whose_text_may_still_follow_is_undecided() -> None:
    assert judged("First 97, then", ["97", "A"], "mathvista", cut=True).reason == "was cut by the limit of tokens"
    assert judged("B", ["A"], "mathvista", cut=True).outcome is WRONG


def test_what_a_benchmark_does_not_ask_is_undecided_and_never_right() -> None:
    assert judged("a cat", ["a cat"], "pope").outcome is UNDECIDED
    assert judged("a cat", [], "any").outcome is UNDECIDED
    assert judged("a cat", [" "], "any").outcome is UNDECIDED


def test_only_what_is_decided_says_whether_it_is_hallucinated() -> None:
    found = [judged(answer, ["yes"], "pope").hallucinated for answer in ("Yes", "No", "There is a dog.")]
    assert found == [False, True, None]


def test_rules_have_digests_of_their_own() -> None:
    digests = {rules_digest(benchmark) for benchmark in BENCHMARKS}
    assert len(digests) == len(set(map(tuple, BENCHMARKS.values())))
    with pytest.raises(UnknownName, match="unknown rules 'popes'; did you mean 'pope'"):
        judged("yes", ["yes"], "popes")
