"""Rules by benchmark: which forms of right answer its questions have, the first that fits the references decides."""

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType

from foresight_cache.answers.judging import Judgement, choice, number, phrase, undecided, words, yes_no
from foresight_cache.errors import UnknownName
from foresight_cache.records import digest

_YES_NO: tuple[ModuleType, ...] = (yes_no,)
BENCHMARKS: Mapping[str, tuple[ModuleType, ...]] = MappingProxyType(
    {
        "amber": _YES_NO,
        "hallusionbench": _YES_NO,
        "haloquest": (yes_no, phrase),
        "mathvista": (choice, number, yes_no, phrase),
        "mme": _YES_NO,
        "pope": _YES_NO,
        "any": (yes_no, choice, number, phrase),
    }
)
"""Modules with `right_answers` and `judge`; `any` is for questions of one's own."""

_FORMS: Mapping[ModuleType, str] = MappingProxyType(
    {yes_no: "yes or no", choice: "letter", number: "number", phrase: "phrase"}
)
_READ_TO_THE_END = (number, phrase)


def rules_of(benchmark: str) -> tuple[ModuleType, ...]:
    """Returns the rules of a benchmark. Raises `UnknownName`."""
    if benchmark not in BENCHMARKS:
        raise UnknownName("rules", benchmark, BENCHMARKS)
    return BENCHMARKS[benchmark]


def form_of(references: Sequence[str], benchmark: str) -> str | None:
    """Returns the form of the right answers as these rules read them, `yes or no` and so on; None where they cannot.

    >>> form_of(["n, o"], "pope"), form_of(["7"], "any"), form_of(["a cat"], "pope")
    ('yes or no', 'number', None)
    """
    rule = _rule(references, benchmark)
    return None if rule is None else _FORMS[rule]


def judged(answer: str | None, references: Sequence[str], benchmark: str, *, cut: bool = False) -> Judgement:
    """Judges an answer by the references of its question. Raises `UnknownName`.

    Of one that was `cut` by a limit of tokens, numbers and phrases that would follow may be missing.

    >>> judged("There is nothing I know of.", ["no"], "pope").outcome, judged("No.", ["no"], "pope").outcome
    (<Outcome.UNDECIDED: 'undecided'>, <Outcome.RIGHT: 'right'>)
    """
    rule = _rule(references, benchmark)
    if answer is None:
        return undecided("there is no answer")
    if not references:
        return undecided("there is nothing to compare with")
    if rule is None:
        return undecided("the right answer has none of the forms that these rules know")
    if cut and (rule in _READ_TO_THE_END or (rule is choice and choice.texts(references))):
        return undecided("was cut by the limit of tokens")
    judgement: Judgement = rule.judge(answer, references)
    return judgement


def _rule(references: Sequence[str], benchmark: str) -> ModuleType | None:
    return next((rule for rule in rules_of(benchmark) if rule.right_answers(references) is not None), None)


def rules_digest(benchmark: str) -> str:
    """Returns the SHA-256, hexadecimal, of the code of the rules of a benchmark. Raises `UnknownName`."""
    return digest([inspect.getsource(module) for module in (words, *rules_of(benchmark))])
