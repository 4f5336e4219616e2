"""What `train-probe --stage` does before training: it brings near what is read more than once."""

from pathlib import Path

from foresight_cache.copying.staging import check_stage, staging
from foresight_cache.reader import Cache
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.reading_passes import AGAIN, reading_passes
from pipelines.megabytes import Megabytes, in_megabytes
from pipelines.progress_bar import progress, say


def staged(plan: SweepPlan, folder: Path, *, in_memory: bool) -> Cache | None:
    """Copies the arrays that a sweep reads and returns the cache that reads them there; None where one pass is enough.

    Any number of processes may do so at once: one copies, the others wait. Raises `UsageError` for a folder in memory
    unless `in_memory`, and what `Move` raises.
    """
    check_stage(folder, in_memory=in_memory)
    passes = reading_passes(plan)
    if max(passes.values(), default=0) < AGAIN:
        reads = "only means over tokens are read, or tokens stay in memory" if passes else "no run is to be trained"
        say(f"nothing is staged in {folder}: one pass over {plan.cache.path} is enough, as {reads}")
        return None
    with staging(plan.cache, folder, passes, say) as stage:
        with progress("stage", in_megabytes(stage.move.survey.size), "MB") as report:
            stage.move.run(Megabytes(report), say)
        return stage.opened()
