"""The command line, with a line in a file for each head that this process trains: who did what, and how often.

    python -m tests.support.recorded_training FILE ARGUMENTS…

The lines are `<process> <point> <run>`.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from foresight_cache.runtime.progress import Advance
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result
from foresight_probes.sweeps import split_runs
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.point_runs import PointRuns
from foresight_probes.training.run_spec import RunSpec
from pipelines import cli


def main(file: Path, arguments: list[str]) -> None:
    train, compute = PointRuns.train, split_runs.compute_mean_predictors

    def record(point: str, runs: Sequence[RunSpec]) -> None:
        with file.open("a") as lines:
            lines.write("".join(f"{os.getpid()} {point} {run}\n" for run in runs))

    def trained(self: PointRuns, loggers: Sequence[str], advance: Advance) -> list[str]:
        record(self.point, self.runs)
        return train(self, loggers, advance)

    def computed(plan: SweepPlan, runs: Sequence[RunSpec]) -> tuple[list[Result], list[str]]:
        record(MEAN_PREDICTOR, runs)
        return compute(plan, runs)

    PointRuns.train = trained  # type: ignore[method-assign]
    split_runs.compute_mean_predictors = computed  # type: ignore[attr-defined]
    sys.argv = ["foresight", *arguments]
    cli.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
