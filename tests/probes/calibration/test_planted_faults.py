"""Instruments that are broken on purpose, one fault at a time: calibration, or a check of hygiene, says so each time.

Faults are planted into what a sweep runs. Without a fault the same check passes, so it is the fault that it sees.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.calibration import table
from foresight_probes.calibration.checks import Extent, Instrument, Rule, checks
from foresight_probes.calibration.table import Calibrated, calibrate
from foresight_probes.features import sources
from foresight_probes.features.sources import Source
from foresight_probes.options import TrainingOptions
from foresight_probes.results.scores import Gathered
from foresight_probes.splits import Split
from foresight_probes.sweeps import divisions, point_runs, targets
from foresight_probes.sweeps.run import train
from foresight_probes.training import candidates, closed_forms, search
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.solver_data import SolverData
from foresight_probes.training.solvers import SOLVERS, Solver

Plant = Callable[[pytest.MonkeyPatch], None]

EXTENT = Extent(train=200, validation=60, test=150, few=None, geometries=("base", "outch"), hard=())
COUNTING, COUNTING_MLP = Instrument(task="counting", head="pooled-linear"), Instrument(task="counting", head="mlp")
PATCHES = Instrument(task="patch-class", head="token-linear")
PICTURES = Instrument(task="reconstruction", head="token-linear")


@dataclass(frozen=True)
class ChangedSource:
    """A point whose tokens [N, D] are changed in place after they are read; a `Source`."""

    point: Source
    change: Callable[[np.ndarray, Grid, Mapping[str, Any]], None]
    samples: Sequence[Mapping[str, Any]]
    behind: int = 0
    """Rows by which a sample's tokens are another sample's."""

    @property
    def name(self) -> str:
        return self.point.name

    @property
    def width(self) -> int:
        return self.point.width

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.point.dtype

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:
        self.point.read_into(max(0, row - self.behind), out_ND, check=check)
        self.change(out_ND, self.grid(row), self.samples[row])

    def grid(self, row: int) -> Grid:
        return self.point.grid(row)

    def shard(self, row: int) -> int:
        return self.point.shard(row)


def of_source(
    change: Callable[[np.ndarray, Grid, Mapping[str, Any]], None], *, subject: str = "", behind: int = 0
) -> Plant:
    """Plants a change of what is read of points that tell of a subject, or of any."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        open_source = sources.open_source

        def opened(cache: Cache, name: str) -> Source:
            own = open_source(cache, name)
            return ChangedSource(own, change, cache.rows, behind) if name.startswith(subject) else own

        monkeypatch.setattr(sources, "open_source", opened)

    return plant


def in_windows(tokens_ND: np.ndarray, grid: Grid, _: Mapping[str, Any]) -> None:
    """The order in which a vision tower that merges 2 × 2 tokens computes them."""
    windows = tokens_ND.reshape(grid.t, grid.h // 2, 2, grid.w // 2, 2, -1).swapaxes(2, 3)
    tokens_ND[:] = windows.reshape(tokens_ND.shape).copy()


def constant(tokens_ND: np.ndarray, *_: object) -> None:
    tokens_ND[:] = 1


def half_dropped(tokens_ND: np.ndarray, *_: object) -> None:
    tokens_ND[len(tokens_ND) // 2 :] = 0


def in_four_bits(tokens_ND: np.ndarray, *_: object) -> None:
    """Whole numbers up to 7, in a unit for each token."""
    units_N1 = np.abs(tokens_ND).max(1, keepdims=True).astype(np.float32) / 7
    tokens_ND[:] = np.round(tokens_ND / units_N1) * units_N1


def leaking(tokens_ND: np.ndarray, _: Grid, sample: Mapping[str, Any]) -> None:
    tokens_ND[:, 0] = len(sample["annotations"]["objects"])


def unchanged(*_: object) -> None:
    pass


@dataclass(frozen=True)
class ChangedSolver:
    """A closed form that tries only some of the penalties, and whose solutions are changed; a `Solver`."""

    solver: Solver
    change: Callable[[LinearSolution], LinearSolution]
    strengths: slice

    @property
    def targets(self) -> tuple[str, ...]:
        return self.solver.targets

    @property
    def by_loss(self) -> bool:
        return self.solver.by_loss

    def solve(
        self, runs: Sequence[int], data: SolverData, options: TrainingOptions
    ) -> Mapping[int, Sequence[LinearSolution]]:
        some = replace(options, strengths=options.strengths[self.strengths])
        return {run: [*map(self.change, own)] for run, own in self.solver.solve(runs, data, some).items()}

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:
        return self.solver.samples_seen(training, penalties)


def of_solvers(
    change: Callable[[LinearSolution], LinearSolution] = lambda solution: solution, strengths: slice = slice(None)
) -> Plant:
    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for name, solver in dict(SOLVERS).items():
            monkeypatch.setitem(SOLVERS, name, ChangedSolver(solver, change, strengths))  # type: ignore[arg-type]

    return plant


def without_bias(solution: LinearSolution) -> LinearSolution:
    return replace(solution, bias=0 * solution.bias)


def of_split(change: Callable[[Split], Split]) -> Plant:
    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        split_rows = divisions.split_rows
        monkeypatch.setattr(divisions, "split_rows", lambda *rows, **shares: change(split_rows(*rows, **shares)))

    return plant


def unchecked_split(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (targets, point_runs):
        monkeypatch.setattr(module, "require_apart", lambda *_: None)


def of_scored_samples(side: str) -> Plant:
    """Plants scores of another side where those of the test samples are asked for."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        evaluate = closed_forms.evaluate

        def evaluated(data: SolverData, solutions: Any, _: str) -> dict[int, list[Gathered]]:
            return evaluate(data, solutions, side)  # type: ignore[arg-type]

        monkeypatch.setattr(closed_forms, "evaluate", evaluated)

    return plant


def no_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best constant answer is not the zeroth epoch."""
    monkeypatch.setattr(point_runs, "or_constant", lambda own, *_: own)


def single_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_ROUNDS", 1)


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "RATES", tuple(rate / 10 for rate in candidates.RATES))


@dataclass(frozen=True, kw_only=True)
class Fault:
    plant: tuple[Plant, ...]
    instrument: Instrument
    rule: Rule
    """Rule of the checks that are made."""
    form: str = ""
    """Form of the facts that are read; empty for all that the rule names."""
    caught: str
    """What the calibration says of the instrument: the check that fails, or the sentence of a check of hygiene."""
    already: tuple[Plant, ...] = ()
    """What is planted without the fault too."""


_PRESENT, _HYGIENE_OF_SPLIT = "present (objects.linear)", "on one side; nothing is trained"

FAULTS: Mapping[str, Fault] = {
    "tokens in the order of merged windows": Fault(
        plant=(of_source(in_windows),), instrument=PATCHES, rule="present", caught=_PRESENT
    ),
    "half of the tokens dropped": Fault(
        plant=(of_source(half_dropped),), instrument=PATCHES, rule="present", caught=_PRESENT
    ),
    "constant features": Fault(plant=(of_source(constant),), instrument=PATCHES, rule="present", caught=_PRESENT),
    "features of the sample before": Fault(
        plant=(of_source(unchanged, behind=1),), instrument=COUNTING, rule="present", caught="present (answers.linear)"
    ),
    "label in a channel": Fault(
        plant=(of_source(leaking, subject="nothing"),),
        instrument=COUNTING,
        rule="absent",
        caught="absent (nothing.linear)",
    ),
    "tokens in four bits": Fault(
        plant=(of_source(in_four_bits),),
        instrument=COUNTING,
        rule="fair",
        caught="fair (answers.mild_snr in outch)",
    ),
    "bias dropped": Fault(
        plant=(of_solvers(without_bias),), instrument=PICTURES, rule="present", caught="present (picture.linear)"
    ),
    "smallest penalty only": Fault(
        plant=(of_solvers(strengths=slice(1)),), instrument=COUNTING, rule="known", caught="known (answers.snr)"
    ),
    "smallest penalty only, and no constant answer": Fault(
        plant=(of_solvers(strengths=slice(1)), no_constant),
        instrument=COUNTING,
        rule="absent",
        caught="absent (nothing.linear), absent (places.linear)",
    ),
    "step size ten times too small": Fault(
        plant=(small_steps,),
        already=(single_round,),
        instrument=COUNTING_MLP,
        rule="present",
        form="product",
        caught="present (answers.product)",
    ),
    "test = train": Fault(
        plant=(of_split(lambda split: replace(split, test=split.train)),),
        instrument=COUNTING,
        rule="known",
        caught=_HYGIENE_OF_SPLIT,
    ),
    "test = train, unchecked": Fault(
        plant=(of_split(lambda split: replace(split, test=split.train)), unchecked_split),
        instrument=COUNTING,
        rule="known",
        caught="known (answers.snr)",
    ),
    "validation = test": Fault(
        plant=(of_split(lambda split: replace(split, validation=split.test)),),
        instrument=COUNTING,
        rule="known",
        caught=_HYGIENE_OF_SPLIT,
    ),
    "scores of validation": Fault(
        plant=(of_scored_samples("validation"),),
        instrument=COUNTING,
        rule="present",
        caught="expected each of its 150 test samples once",
    ),
}
"""Faults by name, as `docs/statistics.md` lists them."""


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture
def calibrated(caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Calibrated]:
    """Calibrates an instrument by one rule, after faults were planted, on caches that all tests share."""

    def calibrated(instrument: Instrument, rule: Rule, form: str, *plants: Plant) -> Calibrated:
        own = [check for check in checks(instrument, EXTENT) if check.rule == rule and form in ("", check.point.form)]
        monkeypatch.setattr(table, "checks", lambda *_: own)
        (tmp_path / "caches").symlink_to(caches)
        for plant in plants:
            plant(monkeypatch)
        (finished,) = calibrate([instrument], EXTENT, tmp_path, say=lambda _: None)
        return finished

    return calibrated


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_caught(fault: Fault, calibrated: Callable[..., Calibrated]) -> None:
    assert fault.caught in calibrated(fault.instrument, fault.rule, fault.form, *fault.already, *fault.plant).reason


SOUND = tuple({(fault.instrument, fault.rule, fault.form, fault.already): None for fault in FAULTS.values()})
"""The checks that catch faults, each once."""


@pytest.mark.parametrize(
    ("instrument", "rule", "form", "already"),
    SOUND,
    ids=[f"{instrument}-{rule}-{form}-{len(already)}" for instrument, rule, form, already in SOUND],
)
def test_without_a_fault_the_same_checks_pass(
    instrument: Instrument, rule: Rule, form: str, already: tuple[Plant, ...], calibrated: Callable[..., Calibrated]
) -> None:
    assert calibrated(instrument, rule, form, *already).reason == ""


def test_a_head_on_the_mean_is_no_judge_of_the_order_of_tokens(calibrated: Callable[..., Calibrated]) -> None:
    """So it takes heads that read tokens to find that order is wrong."""
    assert calibrated(COUNTING, "present", "", of_source(in_windows)).reason == ""


def test_what_another_seed_divides_anew_is_checked_too(
    caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (check,) = (check for check in checks(COUNTING, EXTENT) if check.rule == "present")
    cache = check.cache.write(caches, [str(check.point)])
    resplit = point_runs.resplit

    def leaking(split: Split, groups: Sequence[str], seed: int) -> Split:
        divided = resplit(split, groups, seed)
        return replace(divided, train=(*divided.train, *divided.test)) if seed else divided

    monkeypatch.setattr(point_runs, "resplit", leaking)
    with pytest.raises(ProbeError, match="on the train and the test side of the split"):
        train(cache, tasks=["counting"], points=[str(check.point)], heads=["pooled-linear"], seeds=(0, 1), out=tmp_path)


def test_the_documentation_lists_the_faults_with_what_catches_each() -> None:
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text()
    start, end = "<!-- planted faults -->", "<!-- end of planted faults -->"
    rows = page.split(start)[1].split(end)[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [name for name, *_ in cells] == list(FAULTS)
    for (_, instrument, caught, _), fault in zip(cells, FAULTS.values(), strict=True):
        assert instrument == f"{fault.instrument.task}, `{fault.instrument.head}`"
        assert caught == (f"`{fault.rule}`" if f"{fault.rule} (" in fault.caught else "hygiene")
