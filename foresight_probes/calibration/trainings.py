"""The trainings that a calibration needs: heads on a point of a planted cache, in one process or in several.

Each is kept as soon as it is finished, and is not made again by the same code.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

import torch

from foresight_cache.errors import Interrupted, ProbeError
from foresight_cache.runtime.interruption import end_with_parent
from foresight_cache.runtime.progress import Advance
from foresight_probes.calibration.checks import Extent, Instrument, checks, reference_head
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.validity import digest
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result
from foresight_probes.sweeps.run import train
from foresight_probes.tasks import load
from foresight_probes.training.solvers import solver_of

OPTIONS = TrainingOptions(resamples=200)
"""Options of all trainings: the defaults, but for the resamples of intervals, to which nothing is held closely."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """An instrument, and the closed form that it is compared with where there is one, on a point."""

    instrument: Instrument
    heads: tuple[str, ...]
    cache: PlantedCache
    point: PlantedPoint

    def results(self, out: Path) -> list[Result]:
        """Returns a result for each head; trains what is not there. Raises `ProbeError`.

        Args:
            out: Folder of the calibration.
        """
        task, head = self.instrument.task, self.instrument.head
        opened = self.cache.write(out / "caches", [str(self.point)])
        place = f"{task}-{head}-{digest(task, head)[:12]}"
        folder = out / "runs" / place / self.cache.place(out).name
        results = train(opened, tasks=[task], points=[str(self.point)], heads=self.heads, out=folder, options=OPTIONS)
        by_head = {result.head: result for result in results if result.point == str(self.point)}
        return [by_head[name] for name in self.heads]

    @property
    def size(self) -> tuple[bool, int]:
        """Larger for a training that takes longer: closed forms take least, and wide features more than narrow ones."""
        task, head = self.instrument.task, self.instrument.head
        return solver_of(load(task), head) is None, self.cache.grid.tokens * self.point.coordinates.width


def trainings(instrument: Instrument, extent: Extent) -> list[Training]:
    """Returns the trainings of all checks of an instrument, each once."""
    reference = reference_head(instrument)
    needed: dict[Training, None] = {}
    for check in checks(instrument, extent):
        more = (reference,) if check.rule == "few" and reference else ()
        own = Training(instrument=instrument, heads=(instrument.head, *more), cache=check.cache, point=check.point)
        needed[own] = None
    return list(needed)


def train_beside(wanted: Sequence[Training], out: Path, workers: int, advance: Advance) -> None:
    """Makes trainings in so many processes, the longest first; `advance` is called after each with 1 and 0.

    One that fails is passed over: it fails again, and says why, where its result is asked for. Raises `Interrupted`.
    """
    threads = max(1, torch.get_num_threads() // workers)
    context = get_context("spawn")  # a forked process cannot use the GPU
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(threads,)) as pool:
        ordered = sorted(wanted, key=lambda training: training.size, reverse=True)
        try:
            for _ in as_completed([pool.submit(_make, training, out) for training in ordered]):
                advance(1, 0)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                worker.kill()  # what is finished is written, and nobody waits for the rest
            raise Interrupted("interrupted; finished runs are kept, run it again to go on") from None


def _begin(threads: int) -> None:
    end_with_parent()
    torch.set_num_threads(threads)


def _make(training: Training, out: Path) -> None:
    try:
        training.results(out)
    except ProbeError:
        return
