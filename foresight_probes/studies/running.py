"""A study carried out: its sweeps trained where runs are missing, and its findings from all that is there."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from foresight_cache.errors import ProbeError, TextIndexError
from foresight_cache.records import digest
from foresight_cache.runtime.durable_files import write_file
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.lens.judge_items import require_items
from foresight_probes.results.result import Result, load_results
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.found_words import FoundWords
from foresight_probes.studies.helpers import helpers
from foresight_probes.studies.planned_words import WORDS
from foresight_probes.studies.planning import StudyPlan
from foresight_probes.studies.study import Study
from foresight_probes.studies.verdict import Findings, find
from foresight_probes.sweeps.failed_runs import RunsFailed
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.run import train_sweep

RECORD = "study.json"
"""Name of the file that says which version of a study the runs of a folder were begun for."""
LOGGERS = ("csv",)
"""Logs of each epoch that are kept of runs; learning curves are drawn from them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """A study carried out."""

    findings: Findings
    results: Mapping[str, list[Result]]
    """All results by group of runs, the mean predictors among them."""
    remarks: tuple[str, ...]
    """What a reader must know before any number."""
    trained: int
    """Runs that this call trained."""
    failed: tuple[str, ...] = ()
    """What went wrong in groups of runs, in sentences."""


def carry_out(
    plan: StudyPlan,
    *,
    operations: Mapping[str, Mapping[str, float] | str] = MappingProxyType({}),
    advance: Advance = silent,
    say: Callable[[str], None] = lambda _: None,
    processes: int = 1,
) -> Carried:
    """Trains what is missing, group by group, and finds what follows; what was interrupted goes on in the same folder.

    A run that fails, or whose metric is not defined on the samples at hand, is said, and is not measured; all others
    are. `operations` are those of `Evidence`; `processes`, this one among them, share out the points.

    Raises `ProbeError` where the folder cannot be written or a result was edited, and `Interrupted`.
    """
    changed = _recorded(plan.study, plan.out)
    missing, results, trained = dict(plan.missing), {}, 0
    failed: list[str] = []
    unmeasured: list[str] = []
    reasons: dict[str, str] = {}
    diverged: dict[str, dict[str, int]] = {}
    pending = {name: sweep for name, sweep in plan.sweeps.items() if pending_runs(sweep)}
    with helpers(pending, processes - 1 if pending else 0, LOGGERS, advance):
        for name, sweep in plan.sweeps.items():
            trained += pending_runs(sweep)
            if name in pending:
                say(f"{name}: {pending_runs(sweep):,} runs, group {list(pending).index(name) + 1} of {len(pending)}")
            try:
                train_sweep(sweep, loggers=LOGGERS, advance=advance)
            except ProbeError as error:
                said = f"{name}: {error}"
                of_runs = error if isinstance(error, RunsFailed) else None
                (unmeasured if of_runs and of_runs.undefined else failed).append(said)
                diverged[name] = of_runs.diverged() if of_runs else {}
                reasons[name] = said
                say(said)
            results[name] = _results_of(sweep)
            if not results[name]:
                missing[name] = reasons.get(name, "its runs are not there")
    words = _look_up(plan, missing, failed, advance, say)
    evidence = Evidence(
        study=plan.study,
        words=words,
        results={name: [own for own in of_group if own.point != MEAN_PREDICTOR] for name, of_group in results.items()},
        mean_predictors={
            name: [own for own in of_group if own.point == MEAN_PREDICTOR] for name, of_group in results.items()
        },
        caches=plan.joined.caches,
        missing=missing,
        operations=operations,
        diverged=diverged,
    )
    remarks = (*([changed] if changed else []), *failed, *unmeasured, *plan.remarks)
    return Carried(findings=find(evidence), results=results, remarks=remarks, trained=trained, failed=tuple(failed))


def _look_up(
    plan: StudyPlan, missing: dict[str, str], failed: list[str], advance: Advance, say: Callable[[str], None]
) -> dict[str, FoundWords]:
    """Looks up the words that are not kept yet, and returns all; `missing` and `failed` get what goes wrong."""
    found = {}
    for name, own in plan.words.items():
        folder, run = plan.out / WORDS / name, own.run
        if not own.is_kept(folder):
            say(f"{name}: words of {len(run.numbers):,} samples at {len(run.points)} points by {', '.join(run.lenses)}")
        try:
            own.keep(folder, advance)
        except (ProbeError, TextIndexError) as error:
            failed.append(f"{name}: {error}")
            missing[name] = failed[-1]
            say(failed[-1])
            continue
        layers = ", ".join(map(str, run.index.layers))
        found[name] = FoundWords(
            cache=run.cache,
            points=run.points,
            lenses=run.lenses,
            top=run.top,
            index=f"{run.index.path.name}: {run.index.rows:,} rows in each of the layers {layers}",
            index_digest=digest(run.index.fingerprint),
            folder=folder,
            verdicts=plan.verdicts,
        )
    if plan.verdicts:
        require_items(plan.verdicts, (item for own_words in found.values() for item in own_words.items))
    return found


def pending_runs(plan: SweepPlan) -> int:
    """Returns the number of runs that are to be trained, controls, folds and refits among them."""
    own = sum(map(len, plan.pending.values()))
    return own + sum(pending_runs(part) for part in (*plan.folds, *plan.refits))


def _results_of(plan: SweepPlan) -> list[Result]:
    """Returns the results of the plan's runs as they are on the disk, so that they are the same each time."""
    wanted = {(run.task, point, run.name) for point, runs in plan.runs.items() for run in runs}
    try:
        found = load_results(plan.out)
    except ProbeError:
        if any(plan.out.glob("*/*/*.json")):
            raise
        return []
    return [result for result in found if (result.task, result.point, result.run) in wanted]


def _recorded(study: Study, out: Path) -> str:
    """Writes which study a folder is of where it is new; returns in words that it was of another version."""
    path, own = out / RECORD, {"name": study.name, "version": study.version, "digest": study.digest}
    try:
        if not path.exists():
            out.mkdir(parents=True, exist_ok=True)
            write_file(path, (json.dumps(own, indent=1) + "\n").encode())
            return ""
        stored: dict[str, Any] = json.loads(path.read_bytes())
    except OSError as error:
        raise ProbeError(f"cannot write the study to {out}: {error.strerror or error}") from error
    except ValueError as error:
        raise ProbeError(f"{path} is damaged ({error}); remove it and run the study again") from error
    if stored.get("name") != study.name:
        raise ProbeError(f"{out} has the runs of the study {stored.get('name')!r}, not of {study.name!r}; name another")
    if stored == own:
        return ""
    begun = f"version {stored.get('version')} ({str(stored.get('digest'))[:12]})"
    return (
        f"the runs were begun for {begun} of this study, and are judged by version {study.version} "
        f"({study.digest[:12]}): thresholds that were changed after numbers were seen decide nothing"
    )
