"""The door of notebooks: probes are trained by one call, and the runs in a folder read by another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foresight_cache.reader import Cache, open_cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.results.point_aliases import alias_of
from foresight_probes.results.result import Result, load_results, summary_row
from foresight_probes.results.tables import select

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Runs:
    """Finished runs of a folder. In a notebook it shows as its table."""

    results: tuple[Result, ...]
    """Results by task, then in the order of computation, then by head and seed."""

    def table(self, *, where: Sequence[str] = (), sort: Sequence[str] = ()) -> "pd.DataFrame":
        """Returns one row for each run and one column for each of its numbers, as `foresight runs` prints them.

        `where` takes conditions such as `task=boxes`, `point=E4` or `value>0.5`, `sort` columns such as `-value`.
        Raises `UnknownName` for a column that does not exist.
        """
        import pandas as pd

        return pd.DataFrame([summary_row(result) for result in self._selected(where, sort)])

    def scores(self, *, where: Sequence[str] = ()) -> "pd.DataFrame":
        """Returns one row for each test sample of each run, to be joined with the sample table by `id`.

        `cache.samples.merge(runs.scores(), on="id")` does so. Columns are `id`, those that name the run (`task`,
        `point`, `run`, `head`, `seed`), `scores`, the numbers of the sample as they stand in the run's Parquet file
        (float64 [V]), and the task's metrics of this sample alone, NaN where one sample does not define them.

        `where` takes conditions on runs, as `table` does. Raises `UnknownName` for a column that does not exist, and
        `ProbeError` for a damaged file.
        """
        import pandas as pd

        frames = [_scores_of(result) for result in self._selected(where)]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["id", *_NAMES, "scores"])

    def _selected(self, where: Sequence[str], sort: Sequence[str] = ()) -> list[Result]:
        rows = [
            {**summary_row(result), "alias": alias_of(result) or None, "result": number}
            for number, result in enumerate(self.results)
        ]
        return [self.results[row["result"]] for row in select(rows, where=where, sort=sort)]

    def _repr_html_(self) -> str:
        return str(self.table().to_html(index=False))


_NAMES = ("task", "point", "run", "head", "seed")
"""What tells a run from others in a table of scores."""


def _scores_of(result: Result) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    from foresight_probes.results.sample_metrics import sample_metrics

    scores = result.scores
    columns = {
        "id": [score.id for score in scores],
        **{name: getattr(result, name) for name in _NAMES},
        "scores": [np.array(score.scores) for score in scores],
    }
    return pd.DataFrame({**columns, **sample_metrics(result, scores)})


def train(
    cache: Cache | str | Path, task: str | Sequence[str], out: str | Path, *, advance: Advance = silent, **options: Any
) -> Runs:
    """Trains what is missing of a sweep and returns all of its runs, old and new, the mean predictors among them.

    Args:
        cache: A cache or its path.
        task: Names of tasks.
        out: Folder of results; what it holds already is not trained again.
        advance: Called after each step with its numbers of samples and of bytes of features.
        options: Any name that `foresight train-probe --config` takes: `points`, `heads`, `seeds`, `lr`, `epochs`, …

    Raises: `UnknownName` with the nearest names, `UsageError` for a value that is not possible, `ProbeError`.
    """
    from foresight_probes.sweeps.plan import plan_sweep
    from foresight_probes.sweeps.processes import train_on
    from foresight_probes.sweeps.sweep import parse_sweep

    request = parse_sweep({"task": task, **options})
    opened = cache if isinstance(cache, Cache) else open_cache(cache)
    plan = plan_sweep(opened, request.sweep, Path(out))
    return Runs(tuple(train_on(plan, devices=request.devices, loggers=request.loggers, advance=advance)))


def load_runs(folder: str | Path) -> Runs:
    """Reads all runs under a folder. Raises `ProbeError` where there is none, or one cannot be read."""
    return Runs(tuple(load_results(Path(folder))))
