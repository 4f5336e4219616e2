"""Figures of a benchmark: ratios of two things that are measured in turn on the same machine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One row of a benchmark's table."""

    name: str
    value: float
    target: str
    """What is aimed at, such as `<= 2`; empty where nothing is."""
    detail: str
    """The two times, or rates, that the value is made of."""

    @property
    def reached(self) -> bool | None:
        """Whether the value is what is aimed at; None where nothing is.

        >>> Figure(name="a", value=1.5, target="<= 2", detail="").reached
        True
        """
        if not self.target:
            return None
        sign, limit = self.target.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)


def medians(
    work: Sequence[Callable[[], object]], repeats: int, before: Callable[[], object] = lambda: None
) -> list[float]:
    """Median seconds of each, measured in turn, so that a busy moment of the machine falls on all.

    `before` is called before each and is not counted.
    """
    seconds: list[list[float]] = [[] for _ in work]
    for _ in range(repeats):
        for place, each in enumerate(work):
            before()
            started = time.perf_counter()
            each()
            seconds[place].append(time.perf_counter() - started)
    return [median(some) for some in seconds]


def table(figures: Sequence[Figure]) -> str:
    """Markdown.

    >>> print(table([Figure(name="forty", value=1.234, target="<= 2", detail="1 s, 2 s")]))
    | measured | ratio | target | reached | detail |
    |---|---|---|---|---|
    | forty | 1.23 | <= 2 | yes | 1 s, 2 s |
    """
    words = {True: "yes", False: "no", None: ""}
    lines = [
        f"| {each.name} | {each.value:.2f} | {each.target} | {words[each.reached]} | {each.detail} |"
        for each in figures
    ]
    return "\n".join(["| measured | ratio | target | reached | detail |", "|---|---|---|---|---|", *lines])
