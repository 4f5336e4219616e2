"""How many answers are right, wrong and undecided: in all, and by source, category and form of the right answer.

To be looked at before any probe: where the category alone tells the label, a probe that reads the category looks good.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from foresight_cache.answers.judging import Outcome
from foresight_cache.answers.judging.rules import form_of
from foresight_cache.answers.judging.verdicts import Verdict

UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Rate:
    """A row."""

    by: str
    """`all`, `source`, `type` or `form`."""
    value: str
    right: int
    wrong: int
    undecided: int

    @property
    def answers(self) -> int:
        return self.right + self.wrong + self.undecided

    @property
    def wrong_rate(self) -> float | None:
        """Share of wrong answers among those that are decided; None where none is."""
        decided = self.right + self.wrong
        return self.wrong / decided if decided else None


def rates(verdicts: Sequence[Verdict], benchmark: str) -> list[Rate]:
    """Counts outcomes in all and by each property that has several values, the most frequent values first."""
    counts: dict[tuple[str, str], Counter[Outcome]] = defaultdict(Counter)
    for verdict in verdicts:
        answer, outcome = verdict.answer, verdict.judgement.outcome
        properties = {
            "all": "",
            "source": answer.source or UNKNOWN,
            "type": answer.type or UNKNOWN,
            "form": form_of(answer.references, benchmark) or UNKNOWN,
        }
        for by, value in properties.items():
            counts[by, value][outcome] += 1
    several = Counter(by for by, _ in counts)
    rows = [
        Rate(by, value, *(found[outcome] for outcome in Outcome))
        for (by, value), found in counts.items()
        if by == "all" or several[by] > 1
    ]
    order = ("all", "source", "type", "form")
    return sorted(rows, key=lambda row: (order.index(row.by), -row.answers, row.value))
