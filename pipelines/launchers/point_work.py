"""The training of a sweep as a work whose pieces are points."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import Interrupted
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance
from foresight_probes.sweeps.divisions import Division
from foresight_probes.sweeps.failed_runs import FailedRun
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.processes import ShareOut, train_point
from foresight_probes.sweeps.sweep import Sweep
from pipelines.launchers.local import LocalLauncher
from pipelines.launchers.work import Done, Launcher, Piece


@dataclass(frozen=True, kw_only=True)
class PointWork:
    """A `Work`: the points of one split of a sweep."""

    open_again: Callable[[], Cache]
    sweep: Sweep
    root: Path
    division: Division
    loggers: tuple[str, ...]
    pieces: Sequence[Piece]
    gpus: float = 1
    threads: int = 1
    most_at_once: int = 1

    @property
    def needs_gpu(self) -> bool:
        return self.sweep.options.device.startswith("cuda")

    def worker(self) -> "PointWork":
        return self

    def carry_out(self, pieces: Sequence[Piece], *, again: bool) -> Iterator[Done]:  # noqa: ARG002 - a claim decides
        for point in map(str, pieces):
            yield Done(point, *self._train(point))

    def here(self, done: Callable[[Done], None]) -> None:
        for finished in self.carry_out(self.pieces, again=False):
            done(finished)

    def _train(self, point: str) -> tuple[int, int, tuple[FailedRun, ...]]:
        return train_point(self.open_again, self.sweep, self.root, self.division, self.loggers, point)


def share_out_by(launcher: Launcher, gpus: float) -> ShareOut | None:
    """Returns the function that trains the points of a plan by a launcher, each on a share of a GPU; None for here."""
    if isinstance(launcher, LocalLauncher):
        return None

    def share_out(plan: SweepPlan, points: Sequence[str], loggers: Sequence[str], advance: Advance) -> list[FailedRun]:
        failures: list[FailedRun] = []

        def done(finished: Done) -> None:
            advance(finished.samples, finished.size)
            failures.extend(finished.failures)

        work = PointWork(
            open_again=plan.cache.reopen,
            sweep=plan.sweep,
            root=plan.root.absolute(),
            division=plan.division,
            loggers=tuple(loggers),
            pieces=tuple(points),
            gpus=gpus,
        )
        try:
            launcher.run(work, done)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; finished runs are kept, run it again to go on") from None
        return failures

    return share_out
