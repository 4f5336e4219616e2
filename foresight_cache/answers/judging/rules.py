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


def rules_of(benchmark: str) -> tuple[ModuleType, ...]:
    """Returns the rules of a benchmark. Raises `UnknownName`."""
    if benchmark not in BENCHMARKS:
        raise UnknownName("rules", benchmark, BENCHMARKS)
    return BENCHMARKS[benchmark]


def judged(answer: str | None, references: Sequence[str], benchmark: str) -> Judgement:
    """Judges an answer by the references of its question. Raises `UnknownName`.

    >>> judged("There is nothing I know of.", ["no"], "pope").outcome, judged("No.", ["no"], "pope").outcome
    (<Outcome.UNDECIDED: 'undecided'>, <Outcome.RIGHT: 'right'>)
    """
    rules = rules_of(benchmark)
    if answer is None:
        return undecided("there is no answer")
    if not references:
        return undecided("there is nothing to compare with")
    rule = next((rule for rule in rules if rule.right_answers(references) is not None), None)
    if rule is None:
        return undecided("the right answer has none of the forms that these rules know")
    judgement: Judgement = rule.judge(answer, references)
    return judgement


def rules_digest(benchmark: str) -> str:
    """Returns the SHA-256, hexadecimal, of the code of the rules of a benchmark. Raises `UnknownName`."""
    return digest([inspect.getsource(module) for module in (words, *rules_of(benchmark))])
