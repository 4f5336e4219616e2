"""Figures of benchmarks: ratios of two things that are measured in turn on the same machine."""

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
    """Limit that is aimed at, such as `<= 2`; empty where there is none."""
    detail: str
    """The two times or rates that the value is made of."""

    @property
    def reached(self) -> bool | None:
        """True if the value keeps within its target; None where it has none.

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
    """Returns the median seconds of each piece of work, measured in turn: a busy moment of the machine falls on all.

    `before` is called before each piece and is not counted.
    """
    seconds: list[list[float]] = [[] for _ in work]
    for _ in range(repeats):
        for call, durations in zip(work, seconds, strict=True):
            before()
            started = time.perf_counter()
            call()
            durations.append(time.perf_counter() - started)
    return [median(durations) for durations in seconds]


def table(figures: Sequence[Figure]) -> str:
    """Returns a Markdown table of the figures.

    >>> print(table([Figure(name="forty", value=1.234, target="<= 2", detail="1 s, 2 s")]))
    | measured | ratio | target | reached | detail |
    |---|---|---|---|---|
    | forty | 1.23 | <= 2 | yes | 1 s, 2 s |
    """
    words = {True: "yes", False: "no", None: ""}
    lines = [
        f"| {figure.name} | {figure.value:.2f} | {figure.target} | {words[figure.reached]} | {figure.detail} |"
        for figure in figures
    ]
    return "\n".join(["| measured | ratio | target | reached | detail |", "|---|---|---|---|---|", *lines])
