"""The command line, with a line in a file for each head that this process trains: who did what, and how often.

    python -m tests.support.recorded_training FILE ARGUMENTS…

The lines are `<process> <point> <run>`.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from foresight_cache.runtime.progress import Advance
from foresight_probes.sweeps.point_runs import PointRuns
from pipelines import cli


def main(file: Path, arguments: list[str]) -> None:
    train = PointRuns.train

    def recorded(self: PointRuns, loggers: Sequence[str], advance: Advance) -> list[str]:
        with file.open("a") as lines:
            lines.write("".join(f"{os.getpid()} {self.point} {run}\n" for run in self.runs))
        return train(self, loggers, advance)

    PointRuns.train = recorded  # type: ignore[method-assign]
    sys.argv = ["foresight", *arguments]
    cli.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
