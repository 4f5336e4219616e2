"""All runs of a folder together: a table, what each stream adds, and a file with both."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.adapters.adapter_result import AdapterResult, read_table
from foresight_probes.adapters.latent_scores import latent_summary
from foresight_probes.adapters.measuring import ADAPTER, CHANCE, ORACLE, Table
from foresight_probes.adapters.picture_scores import NAMES
from foresight_probes.adapters.plan import AdapterPlan, AdapterRun
from foresight_probes.statistics.bootstrap import bootstrap_difference
from foresight_probes.statistics.groups import FEWEST
from foresight_probes.statistics.interval import Interval

SUMMARY = "adapters.json"
"""Name of the file with all runs of a command."""
Finished = Sequence[tuple[AdapterRun, AdapterResult]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contribution:
    """What one stream adds to an adapter: R² with it less R² of the same adapter trained without it."""

    adapter: str
    points: str
    capacity: float
    seed: int
    stream: str
    """The point that was left out."""
    gain: Interval
    """The difference on the same clips, with the interval of groups that are drawn again."""

    def __str__(self) -> str:
        gain = self.gain
        says = "adds" if gain.low > 0 else "takes away" if gain.high < 0 else "is not seen to add"
        return (
            f"{self.adapter} of {self.points} at {self.capacity:g} M, seed {self.seed}: {self.stream} {says} R² "
            f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
        )


def contributions(plan: AdapterPlan, finished: Finished) -> list[Contribution]:
    """Returns what each stream adds in the runs that have a twin without it."""
    found = []
    whole = {run: run.path(plan.out) for run, _ in finished}
    for run in whole:
        if run.left_out is None:
            continue
        full = next((other for other in whole if _is_whole_of(other, run)), None)
        if full is None:
            continue
        gain = _gain(read_table(whole[full]), read_table(whole[run]), plan.request.options.confidence)
        if gain is not None:
            found.append(
                Contribution(
                    adapter=run.adapter,
                    points=full.title,
                    capacity=run.capacity,
                    seed=run.seed,
                    stream=str(run.points[run.left_out]),
                    gain=gain,
                )
            )
    return found


def _is_whole_of(other: AdapterRun, run: AdapterRun) -> bool:
    return other.left_out is None and other == replace(
        run, left_out=None, width=other.width, parameters=other.parameters
    )


def _gain(full: Table, without: Table, confidence: float) -> Interval | None:
    own, other = (_scores(table) for table in (full, without))
    return bootstrap_difference(own, other, full["group"], latent_summary, "r2", confidence=confidence)


def _scores(table: Table) -> np.ndarray:
    return np.array([table[name] for name in (f"{ADAPTER}.mse", f"{ADAPTER}.cosine", f"{CHANCE}.mse")]).T


def table_rows(finished: Finished) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns headings and rows for a terminal: what is measured of the adapter, with chance and oracle beside it."""
    several = len({run.seed for run, _ in finished}) > 1
    head = ["adapter", "points", *(["seed"] if several else []), "parameters", "R²"]
    head += ["MSE (chance)", "cosine (chance)"]
    pictured = [name for name in NAMES if any(name in result.metrics.get(ORACLE, {}) for _, result in finished)]
    head += [f"{_LABELS[name]} (oracle)" for name in pictured]
    rows = []
    for run, result in finished:
        own, chance = result.metrics[ADAPTER], result.metrics[CHANCE]
        row = [run.adapter if run.left_out is None else f"{run.adapter}, one left out", run.title]
        row += [str(run.seed)] if several else []
        row += [f"{result.parameters / 1e6:.3g} M", interval_text(own.get("r2"))]
        row += [f"{_number(own.get(name))} ({_number(chance.get(name))})" for name in ("mse", "cosine")]
        oracle = result.metrics.get(ORACLE, {})
        row += [f"{_number(own.get(name))} ({_number(oracle.get(name))})" for name in pictured]
        rows.append(tuple(row))
    return tuple(head), rows


_LABELS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "edge_f1": "edge F1",
    "neighbour_ssim": "next frame's SSIM",
    "frame_difference_error": "frame difference error",
}


def pruning_lines(finished: Finished) -> list[str]:
    """Returns a line for each run with a curve of R² over the tokens that are kept."""
    lines = []
    for run, result in finished:
        parts = [f"{own['tokens']:,} tokens {own['r2']['value']:.3f}" for own in result.pruning]
        if parts:
            lines.append(f"{run.name} of {run.title}, R² of the tokens of the largest norm: {', '.join(parts)}")
    return lines


def remarks(finished: Finished) -> list[str]:
    """Returns what a reader must know of runs, a sentence each."""
    said = []
    for run, result in finished:
        for what in (result.diverged, result.constant):
            if what:
                said.append(f"{run.name} of {run.point}: {what}")
    reasons = {name: reason for _, result in finished for name, reason in result.not_measured.items()}
    said += [f"{name} is not measured: {reason}" for name, reason in reasons.items()]
    groups = min((result.effective_groups for _, result in finished), default=FEWEST)
    if groups < FEWEST:
        said.append(f"undecided, too few groups: {groups:.0f}, needs about {FEWEST:.0f}; intervals say little")
    return said


def summary_json(plan: AdapterPlan, finished: Finished) -> dict[str, Any]:
    """Returns all runs and what their streams add, as JSON values."""
    runs = [
        {
            "adapter": run.adapter,
            "points": list(map(str, run.points)),
            "left_out": run.left_out,
            "capacity": run.capacity,
            "seed": run.seed,
            "parameters": result.parameters,
            "result": str(run.path(plan.out).relative_to(plan.out)),
            "samples": result.samples,
            "effective_groups": result.effective_groups,
            "epochs": [fold["epoch"] for fold in result.folds],
            "diverged": [fold["diverged"] for fold in result.folds],
            "metrics": asdict(result)["metrics"],
            "not_measured": dict(result.not_measured),
            "pruning": [dict(own) for own in result.pruning],
        }
        for run, result in finished
    ]
    return {"runs": runs, "contributions": [asdict(each) for each in contributions(plan, finished)]}


def write_summary(plan: AdapterPlan, found: dict[str, Any]) -> Path:
    """Writes what `summary_json` returns. Raises `ProbeError` where it cannot."""
    path = plan.out / SUMMARY
    try:
        write_file(path, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise ProbeError(f"cannot write {path}: {error.strerror or error}; name another --out") from error
    return path


def interval_text(interval: Interval | None) -> str:
    """Returns a value with its interval.

    >>> interval_text(Interval(0.5, 0.25, 0.75)), interval_text(None)
    ('0.500 (0.250–0.750)', 'undefined')
    """
    if interval is None:
        return "undefined"
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def _number(interval: Interval | None) -> str:
    return "undefined" if interval is None else f"{interval.value:.3g}"
