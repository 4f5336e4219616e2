"""Rates of an extraction in the logs that people watch training with: TensorBoard, Weights & Biases, CSV."""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from foresight_cache.runtime.progress import StageTimes
from pipelines.progress_bar import Report

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

EVERY_SECONDS = 5.0
"""Seconds between two values, at least."""


def logs_beside(out: str) -> Path:
    """Returns the folder of the logs of a cache: beside a local one, in the current folder for one in a store.

    >>> logs_beside("caches/coco/").as_posix(), logs_beside("s3://bucket/caches/coco").as_posix()
    ('caches/coco.logs', 'coco.logs')
    """
    place = out.rstrip("/")
    return Path(f"{place.rpartition('/')[2] if '://' in place else place}.logs")


def open_loggers(names: Sequence[str], folder: Path) -> "Sequence[Logger]":
    """Returns loggers of these names, which write to `FOLDER/logs`; nothing is written yet.

    Raises `UnknownName`, and `MissingExtra` for a logger whose package is not installed.
    """
    if not set(names) - {"none"}:
        return ()
    from foresight_probes.training import loggers

    return loggers.open_loggers(names, folder, f"extract-{socket.gethostname()}-{os.getpid()}")


@contextmanager
def logged(report: Report, loggers: "Sequence[Logger]", times: StageTimes | None = None) -> Iterator[Report]:
    """Yields a report that goes to `report` and, as rates, to the loggers.

    Logged over the number of samples that this process has finished: `extract/samples_per_second`,
    `extract/megabytes_per_second` (both since the value before) and, with `times`, `extract/share_<stage>`, 0 to 1.
    """
    if not loggers:
        yield report
        return
    log, status = RateLog(report, loggers, times), "failed"
    try:
        yield log
        status = "success"
    finally:
        log.write()
        for logger in loggers:
            logger.finalize(status)


class RateLog:
    """A `Report` that also logs."""

    def __init__(self, report: Report, loggers: "Sequence[Logger]", times: StageTimes | None) -> None:
        self._report, self._loggers, self._times = report, loggers, times
        self._done = self._samples = self._size = 0
        self._since = time.monotonic()

    def __call__(self, samples: int, size: int) -> None:
        self._report(samples, size)
        self._done += samples
        self._samples += samples
        self._size += size
        if time.monotonic() - self._since >= EVERY_SECONDS:
            self.write()

    def expect(self, total: int) -> None:
        """Takes the number of samples to come, when it is known."""
        self._report.expect(total)

    def write(self) -> None:
        """Logs what was done since the last value, if anything."""
        if not self._samples:
            return
        seconds = max(time.monotonic() - self._since, 1e-3)
        shares = self._times.shares() if self._times else {}
        values = {
            "extract/samples_per_second": self._samples / seconds,
            "extract/megabytes_per_second": self._size / seconds / 1e6,
            **{f"extract/share_{stage}": share for stage, share in shares.items()},
        }
        for logger in self._loggers:
            logger.log_metrics(values, step=self._done)
            logger.save()
        self._samples = self._size = 0
        self._since = time.monotonic()
