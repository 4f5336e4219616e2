"""What `train-probe --stage` does before training: it brings near what is read more than once."""

from pathlib import Path

from foresight_cache.copying.staging import check_stage, staging
from foresight_cache.errors import UsageError
from foresight_cache.reader import open_cache
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.reading_passes import AGAIN, reading_passes
from foresight_probes.sweeps.sweep import Sweep
from pipelines.megabytes import Megabytes, in_megabytes
from pipelines.progress_bar import progress, say


def plan_near(
    place: str, sweep: Sweep, out: Path, folder: Path | None, *, in_memory: bool, answers: Path | None = None
) -> SweepPlan:
    """Plans a sweep on the cache at a place, whose arrays are read from a copy in `folder` where that pays.

    `answers` is a file of answers of the model.

    Raises `UsageError` for a folder in memory unless `in_memory`, and what `plan_sweep` and `Move` raise.
    """
    plan = plan_sweep(open_cache(place, answers=answers), sweep, out)
    if folder is None and in_memory:
        raise UsageError("--stage-in-memory goes with --stage, the folder; name one")
    return plan if folder is None else _staged(plan, folder, in_memory=in_memory)


def _staged(plan: SweepPlan, folder: Path, *, in_memory: bool) -> SweepPlan:
    """Copies what the sweep reads; one of any number of processes does so, and the others wait."""
    check_stage(folder, in_memory=in_memory)
    passes = reading_passes(plan)
    if max(passes.values(), default=0) < AGAIN:
        reads = "only means over tokens are read, or tokens stay in memory" if passes else "no run is to be trained"
        say(f"nothing is staged in {folder}: one pass over {plan.cache.path} is enough, as {reads}")
        return plan
    with staging(plan.cache, folder, passes, say) as stage:
        with progress("stage", in_megabytes(stage.move.survey.size), "MB") as report:
            stage.move.run(Megabytes(report), say)
        return plan_sweep(stage.opened(), plan.sweep, plan.root)
