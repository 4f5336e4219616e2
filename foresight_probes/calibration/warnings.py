"""What a user is told before a sweep: instruments that are not fit, and features beyond all that were calibrated."""

from collections.abc import Iterator

import numpy as np

from foresight_probes.calibration.coordinates import TOKENS
from foresight_probes.calibration.state import CalibrationState, beyond_calibration, calibration_of
from foresight_probes.controls import parts
from foresight_probes.features.sources import Source, open_sources
from foresight_probes.sweeps.plan import SweepPlan

_SAMPLES = 128
"""Training samples whose tokens stand for all."""


def calibration_warnings(plan: SweepPlan) -> Iterator[str]:
    """Yields a sentence for each instrument of the pending runs that is not calibrated, or not for these features."""
    plan = plan.folds[0] if plan.folds else plan  # folds have the same instruments
    states: dict[tuple[str, str], CalibrationState] = {}
    points: dict[str, list[tuple[str, str]]] = {}
    for point, runs in plan.pending.items():
        for run in runs:
            instrument = (run.task, run.head)
            if point in plan.cache.points and not parts(run.task)[1]:
                states.setdefault(instrument, calibration_of(*instrument, plan.sweep.options))
                points.setdefault(point, []).append(instrument)
    for (task, head), state in states.items():
        if state.calibrated != "fit":
            yield f"{head} for {task} is not known to be fit: {state.reason}; see 'foresight calibrate'"
    for point, instruments in points.items():
        fit = [own for own in dict.fromkeys(instruments) if states[own].calibrated == "fit" and states[own].geometries]
        tokens_ND = _tokens(open_sources(plan.cache, point)[0], plan.split.train) if fit else np.empty((0, 0))
        for task, head in fit:
            if words := beyond_calibration(states[task, head], tokens_ND):
                yield f"{head} for {task} was never calibrated for features as those of {point}: {words}"


def _tokens(source: Source, rows: tuple[int, ...]) -> np.ndarray:
    """Some `TOKENS` tokens of training samples, [N, D] float32, evenly spread over these and over each one's tokens."""
    chosen = rows[:: max(1, len(rows) // _SAMPLES)][:_SAMPLES]
    each, parts = -(-TOKENS // len(chosen)), []
    for row in chosen:
        tokens_ND = np.empty((source.grid(row).tokens, source.width), source.dtype)
        source.read_into(row, tokens_ND, check=False)
        parts.append(tokens_ND[:: max(1, len(tokens_ND) // each)][:each].astype(np.float32))
    return np.concatenate(parts)
