"""The trainings that a calibration needs: heads on a point of a planted cache, in one process or in several.

Each is kept as soon as it is finished, and is not made again by the same code.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context
from pathlib import Path

import torch

from foresight_cache.errors import Interrupted, ProbeError
from foresight_cache.runtime.interruption import end_with_parent
from foresight_cache.runtime.progress import Advance
from foresight_probes.calibration.checks import Extent, Instrument, checks, reference_head
from foresight_probes.calibration.kept_runs import kept
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
    """An instrument, and the closed form that it is compared with where there is one, on points of a cache."""

    instrument: Instrument
    heads: tuple[str, ...]
    cache: PlantedCache
    points: tuple[PlantedPoint, ...]

    def single(self) -> "list[Training]":
        """Returns the same, point by point."""
        return [replace(self, points=(point,)) for point in self.points]

    def results(self, out: Path) -> dict[PlantedPoint, list[Result]]:
        """Returns a result for each point and head; trains what is neither there nor kept. Raises `ProbeError`.

        Args:
            out: Folder of the calibration.
        """
        place, planted = place_of(self.instrument), self.cache.place(out).name
        found = {point: kept(place, planted, str(point), self.heads) for point in self.points}
        known = {point: own for point, own in found.items() if own is not None}
        return {**known, **self._trained(out, [point for point in self.points if point not in known])}

    def _trained(self, out: Path, wanted: Sequence[PlantedPoint]) -> dict[PlantedPoint, list[Result]]:
        if not wanted:
            return {}
        task, points = self.instrument.task, [str(point) for point in wanted]
        opened = self.cache.write(out / "caches", points)
        folder = out / "runs" / place_of(self.instrument) / self.cache.place(out).name
        results = train(opened, tasks=[task], points=points, heads=self.heads, out=folder, options=OPTIONS)
        by_name = {(result.point, result.head): result for result in results}
        return {point: [by_name[str(point), name] for name in self.heads] for point in wanted}

    @property
    def size(self) -> tuple[bool, int]:
        """Larger for a training that takes longer: closed forms take least, and wide features more than narrow ones."""
        task, head = self.instrument.task, self.instrument.head
        width = max(point.coordinates.width for point in self.points)
        return solver_of(load(task), head) is None, self.cache.grid.tokens * width


def place_of(instrument: Instrument) -> str:
    """Returns the name of the folder of an instrument's runs, another one for other code."""
    return f"{instrument.task}-{instrument.head}-{digest(instrument.task, instrument.head)[:12]}"


def trainings(instrument: Instrument, extent: Extent) -> list[Training]:
    """Returns the trainings of all checks of an instrument, those on a cache together."""
    reference = reference_head(instrument)
    points: dict[tuple[PlantedCache, tuple[str, ...]], list[PlantedPoint]] = {}
    for check in checks(instrument, extent):
        more = (reference,) if check.rule == "few" and reference else ()
        points.setdefault((check.cache, (instrument.head, *more)), []).append(check.point)
    return [
        Training(instrument=instrument, heads=names, cache=cache, points=tuple(dict.fromkeys(own)))
        for (cache, names), own in points.items()
    ]


def train_beside(wanted: Sequence[Training], out: Path, workers: int, advance: Advance) -> None:
    """Makes trainings in so many processes, point by point, the longest first; `advance` is called with 1 and 0.

    One that fails is passed over: it fails again, and says why, where its result is asked for. Raises `Interrupted`.
    """
    threads = max(1, torch.get_num_threads() // workers)
    context = get_context("spawn")  # a forked process cannot use the GPU
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(threads,)) as pool:
        single = [own for training in wanted for own in training.single()]
        ordered = sorted(single, key=lambda training: training.size, reverse=True)
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
