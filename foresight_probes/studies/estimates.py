"""What a study still has to train, and how long that takes by the runs that are finished."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from foresight_cache.points import PIXELS
from foresight_probes.controls import parts
from foresight_probes.results.result import Result
from foresight_probes.studies.named_points import single_points
from foresight_probes.studies.planning import StudyPlan
from foresight_probes.sweeps.plan import SweepPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a group of runs still has to train."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("runs", "dataset", "points", "finished", "pending", "samples", "GB", "time")

    runs: str
    dataset: str
    points: int
    finished: int
    pending: int
    """Runs that are to be trained, controls, folds and refits among them."""
    samples: int
    """Samples that will be seen at most, all epochs together."""
    gigabytes: float
    """Stored features of the points that are to be read, once each, in 10^9 bytes."""
    seconds: float | None
    """Time at the pace of the finished runs; None before any is."""

    def to_json(self) -> dict[str, Any]:
        """Returns all fields by name."""
        return asdict(self)

    def cells(self) -> list[str]:
        """Returns the texts of the columns."""
        return [
            *(self.runs, self.dataset, str(self.points), f"{self.finished:,}", f"{self.pending:,}"),
            *(f"at most {self.samples:,}", f"{self.gigabytes:.2f}", self._time()),
        ]

    def _time(self) -> str:
        if not self.pending:
            return "none"
        return "not known before a point is finished" if self.seconds is None else f"about {self.seconds / 60:.0f} min"


def estimates(plan: StudyPlan) -> list[Estimate]:
    """Returns a row for each group of runs that can be trained."""
    return [_estimate(name, plan.study.runs[name].dataset, sweep) for name, sweep in plan.sweeps.items()]


def _estimate(name: str, dataset: str, sweep: SweepPlan) -> Estimate:
    every = list(_parts(sweep))
    finished = [result for part in every for result in part.finished]
    pending = sum(len(runs) for part in every for runs in part.pending.values())
    pending_points = {single for part in every for point in part.pending for single in single_points(parts(point)[0])}
    waiting = pending_points & set(sweep.cache.points)
    size = sum(commit.objects[point]["bytes"] for commit in sweep.cache.commits for point in waiting if point != PIXELS)
    return Estimate(
        runs=name,
        dataset=dataset,
        points=len(sweep.sweep.points or ()),
        finished=len(finished),
        pending=pending,
        samples=sweep.samples,
        gigabytes=size / 1e9,
        seconds=_seconds(finished, pending),
    )


def _parts(sweep: SweepPlan) -> Iterator[SweepPlan]:
    yield sweep
    for part in (*sweep.folds, *sweep.refits):
        yield from _parts(part)


def _seconds(finished: list[Result], pending: int) -> float | None:
    """Returns the time of so many runs at the mean pace of finished ones, each of which has its share of its pass."""
    timed = [result.wall_seconds / result.runs_in_pass for result in finished if result.runs_in_pass]
    return pending * sum(timed) / len(timed) if timed else None
