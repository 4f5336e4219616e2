"""Carrying out a plan: each run is trained once, measured, and written before the next one begins."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.finiteness import not_finite
from foresight_cache.runtime.durable_files import write_file
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.adapters import networks
from foresight_probes.adapters.adapter_result import AdapterResult
from foresight_probes.adapters.latent_model import LatentModel, LatentMoments
from foresight_probes.adapters.measuring import ADAPTER, Pictures, intervals, measured
from foresight_probes.adapters.plan import AdapterPlan, AdapterRun
from foresight_probes.adapters.pruning import keep_largest, tokens_kept
from foresight_probes.adapters.training import TARGET, Fitted, Training, device_of, predictions
from foresight_probes.adapters.training_state import check_identity
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.results.checkpoints import load_checkpoint, to_bytes
from foresight_probes.statistics.groups import effective_groups

Found = tuple[int, int, Tensor, Tensor]
"""A joined sample, its fold, its predicted and its true latent."""


@dataclass(frozen=True)
class AdapterWork:
    """A plan with all that measuring needs. Raises before anything is trained, as `prepare` tells."""

    plan: AdapterPlan
    pictures: Pictures | None = None
    measured_by: dict[str, Any] = field(default_factory=dict)
    """What decodes and compares pictures; results that were measured by something else are measured again."""
    not_measured: dict[str, str] = field(default_factory=dict)
    shares: tuple[float, ...] = ()
    """Shares of tokens for which a curve is measured."""
    seconds_between: float = 30.0
    """Seconds from one writing of a training's state to the next, at least."""

    def finished(self, run: AdapterRun) -> AdapterResult | None:
        """Returns a run's result, None where it is still to be trained or to be measured.

        Raises `ProbeError` for a result of other caches or options under the same name.
        """
        path = run.path(self.plan.out)
        if not path.exists():
            return None
        result = AdapterResult.read(path)
        if result.identity != self.plan.digest(run):
            raise ProbeError(
                f"{path} is of other caches, samples or options than these; remove it, or name another --out"
            )
        return result if result.measured_by == self._measured_by else None

    def pending(self) -> list[AdapterRun]:
        """Returns the runs without a result. Raises `ProbeError`."""
        return [run for run in self.plan.runs if not self.finished(run)]

    def results(self, advance: Advance = silent) -> Iterator[tuple[AdapterRun, AdapterResult]]:
        """Yields every run with its result, trained now where there is none. Raises `ProbeError`."""
        for run in self.plan.runs:
            yield run, self.finished(run) or self._carried_out(run, advance)

    @property
    def _measured_by(self) -> dict[str, Any]:
        return {**self.measured_by, "shares": list(self.shares)}

    @cached_property
    def _latents(self) -> dict[int, Tensor]:
        return read_latents(self.plan)

    def _carried_out(self, run: AdapterRun, advance: Advance) -> AdapterResult:
        plan, options = self.plan, self.plan.request.options
        folds, found, constants = [], [], []
        pruned: list[list[Found]] = [[] for _ in self.shares]
        for number, split in enumerate(plan.splits):
            data, fitted = self._fitted(run, number, advance)
            folds.append(
                {
                    **split.sizes(),
                    "epoch": fitted.epoch,
                    "diverged": fitted.diverged,
                    "history": list(fitted.history),
                }
            )
            constants.append(fitted.model.by_place_QC.cpu())
            found += _predicted(data, fitted, number)
            for own, share in zip(pruned, self.shares, strict=True):
                own += _predicted(data, fitted, number, share)
        table = measured(plan.aligned, found, constants, self.pictures)
        result = AdapterResult(
            identity=plan.digest(run),
            depends_on=plan.identity(run),
            parameters=run.parameters,
            measured_by=self._measured_by,
            folds=tuple(folds),
            samples=len(table["id"]),
            effective_groups=effective_groups(table["group"]),
            metrics=intervals(table, options),
            not_measured=self.not_measured,
            pruning=tuple(self._curve(run, pruned, constants)),
        )
        result.write(run.path(plan.out), table)
        for number in range(len(plan.splits)):
            with suppress(FileNotFoundError):
                _state(run.path(plan.out), number).unlink()
        return result

    def _curve(
        self, run: AdapterRun, pruned: Sequence[list[Found]], constants: Sequence[Tensor]
    ) -> Iterator[dict[str, Any]]:
        counts = [stream.lattice.grid.tokens for stream in self.plan.shape(run).streams]
        kept = [count for number, count in enumerate(counts) if number != run.left_out]
        for share, found in zip(self.shares, pruned, strict=True):
            own = intervals(measured(self.plan.aligned, found, constants, None), self.plan.request.options)
            ends = {name: getattr(own[ADAPTER]["r2"], name) for name in ("value", "low", "high")}
            yield {"share": share, "tokens": sum(tokens_kept(count, share) for count in kept), "r2": ends}

    def _fitted(self, run: AdapterRun, number: int, advance: Advance) -> tuple[FeatureData, Fitted]:
        """Returns a run's adapter of one split, trained now or before, with the data that it sees."""
        plan, split = self.plan, self.plan.splits[number]
        sources = [plan.aligned.source(point) for point in run.points]
        options = replace(plan.request.options, shuffle_seed=run.seed)
        data = FeatureData(sources, split, {TARGET: self._latents}, options)
        adapter = networks.build(run.adapter, plan.shape(run), run.width, run.seed)
        model = LatentModel(adapter, LatentMoments.fit([self._latents[row] for row in split.train]))
        path, identity = weights_path(run.path(plan.out), number), plan.digest(run, number)
        if path.exists():
            return data, _loaded(path, identity, model, options.device)
        path.parent.mkdir(parents=True, exist_ok=True)
        training = Training(
            model=model,
            data=data,
            groups=plan.groups,
            options=options,
            identity=identity,
            state=_state(run.path(plan.out), number),
            seconds_between=self.seconds_between,
        )
        fitted = training.fit(advance)
        recipe = {
            "run": plan.identity(run, number),
            "epoch": fitted.epoch,
            "diverged": fitted.diverged,
            "history": list(fitted.history),
        }
        with _write_errors(path):
            write_file(path, to_bytes(model.state_dict(), fitted.standardization, identity, recipe))
        return data, fitted


def prepare(work: AdapterWork) -> list[AdapterRun]:
    """Checks what can be checked without training, and returns the runs that are to be trained or measured.

    Raises `UsageError` for a device that is not there, and `ProbeError` for results of other data in the folder,
    trainings of other adapters and latents that are not finite.
    """
    device_of(work.plan.request.options.device)
    for share in work.shares:
        if not 0 < share <= 1:
            raise UsageError(f"share {share:g} of tokens is not possible, expected a number over 0 and at most 1")
    pending = work.pending()
    for run in pending:
        for fold in range(len(work.plan.splits)):
            for path in (weights_path(run.path(work.plan.out), fold), _state(run.path(work.plan.out), fold)):
                check_identity(path, work.plan.digest(run, fold))
    if pending:
        work._latents  # noqa: B018 - reads and checks them
    return pending


def read_latents(plan: AdapterPlan) -> dict[int, Tensor]:
    """Returns the latent [Q, C] float32 of each joined sample. Raises `ProbeError` where one is not finite."""
    latents = {}
    for number, row in enumerate(plan.aligned.samples):
        latent_QC = plan.aligned.latent(number)
        if count := not_finite(latent_QC):
            raise ProbeError(
                f"the latent of {row['id']} has {count} of {latent_QC.size} numbers that are not finite; extract the "
                "latents again, as with --dtype float32"
            )
        latents[number] = torch.from_numpy(latent_QC)
    return latents


def weights_path(result: Path, fold: int) -> Path:
    """Returns the path of the weights of one split beside the result of a run."""
    return result.with_name(f"{result.stem}.fold-{fold}.safetensors")


def load_adapter(plan: AdapterPlan, run: AdapterRun, fold: int = 0) -> Fitted:
    """Loads a trained adapter. Raises `ProbeError` where it is missing, or of another adapter, data or options."""
    channels, cells = plan.aligned.channels, plan.aligned.latent_grid.tokens
    empty = LatentMoments(torch.zeros(cells, channels), torch.zeros(channels), torch.tensor(1.0))
    model = LatentModel(networks.build(run.adapter, plan.shape(run), run.width, run.seed), empty)
    return _loaded(weights_path(run.path(plan.out), fold), plan.digest(run, fold), model, plan.request.options.device)


def _loaded(path: Path, identity: str, model: LatentModel, device: str) -> Fitted:
    stored = load_checkpoint(path, identity)
    model.load_state_dict(stored.weights)
    told = stored.recipe
    return Fitted(
        model=model.eval().to(device_of(device)),
        standardization=stored.standardization,
        epoch=told["epoch"],
        history=tuple(told["history"]),
        diverged=told["diverged"],
    )


def _predicted(data: FeatureData, fitted: Fitted, fold: int, share: float = 1.0) -> list[Found]:
    device = device_of(data.options.device)
    standardization: Standardization = fitted.standardization.to(device)
    change: Callable[[list[Tensor]], list[Tensor]] | None = None
    if share < 1:
        change = keep_largest(share, standardization)
    found = predictions(fitted.model, data.test_dataloader(), standardization, change)
    return [(row, fold, latent_QC, truth_QC) for row, latent_QC, truth_QC in found]


def _state(result: Path, fold: int) -> Path:
    return result.with_name(f"{result.stem}.fold-{fold}.state")


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProbeError(f"cannot write {path}: {error.strerror or error}; name another --out") from error
