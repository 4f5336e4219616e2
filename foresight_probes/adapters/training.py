"""The training of one adapter on one split: seeded, selected on validation, and resumed where it was killed."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import UsageError
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.adapters.latent_model import LatentModel
from foresight_probes.adapters.training_state import Progress, load_state, save_state
from foresight_probes.batches import Batch
from foresight_probes.features.batch_sampler import BatchLoader
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import mean
from foresight_probes.options import TrainingOptions
from foresight_probes.statistics.bootstrap import bootstrap_difference
from foresight_probes.training.step_sizes import warmup_cosine

TARGET = "latent"
"""Name of the latents among the targets of a batch."""
LARGEST_GRADIENT = 1.0
"""Norm that gradients are cut to."""
_SECONDS_BETWEEN = 30.0
_RESAMPLES, _STANDARD_ERROR = 100, 0.6827


def peak_step_size(width: int) -> float:
    """Returns the peak step size of AdamW for a width: the wider a layer, the more a step of its weights changes.

    >>> peak_step_size(128), peak_step_size(2048)
    (0.002, 0.00025)
    """
    return min(2e-3, 0.512 / width)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A trained adapter with the best weights, or the mean latent where that is as good on validation."""

    model: LatentModel
    standardization: Standardization
    epoch: int
    """Epoch of the weights; 0 for the mean latent."""
    history: tuple[float, ...]
    """Mean squared error of validation after each epoch."""
    diverged: int | None
    """Epoch in which the loss was no longer finite; None for none."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that the training of an adapter on one split depends on."""

    model: LatentModel
    """With its first weights; it is trained in place."""
    data: FeatureData
    groups: Sequence[str]
    """Group of each joined sample."""
    options: TrainingOptions
    identity: str
    """Digest of all that decides the weights, for the file of the state."""
    state: Path
    seconds_between: float = _SECONDS_BETWEEN
    """Seconds from one writing of the state to the next, at least."""

    def fit(self, advance: Advance = silent) -> Fitted:
        """Trains, going on where an earlier call was killed. Raises `ProbeError` for a state of another training."""
        standardization = self.data.standardization()
        done = self._train(standardization, advance)
        if done.best:
            self.model.load_state_dict(done.best)
        if not done.best or not self._beats_constant(standardization):
            self.model.is_constant.fill_(True)
        self.model.eval()
        return Fitted(
            model=self.model,
            standardization=standardization,
            epoch=0 if self.model.is_constant else done.best_epoch,
            history=tuple(done.history),
            diverged=done.diverged,
        )

    def _train(self, standardization: Standardization, advance: Advance) -> Progress:
        options, device = self.options, device_of(self.options.device)
        self.model.to(device)
        peak = options.learning_rate or peak_step_size(self.model.adapter.width)
        optimiser = torch.optim.AdamW(self.model.parameters(), lr=peak, weight_decay=options.weight_decay)
        done = load_state(self.state, self.identity, self.model, optimiser)
        loader = self.data.train_dataloader()
        loader.load_state_dict({"epochs": len(done.history), "batches": 0})
        written, fitted = time.monotonic(), standardization.to(device)
        while self._goes_on(done):
            is_finite = self._epoch(loader, fitted, optimiser, done, peak, advance)
            errors = self._errors(fitted) if is_finite else np.array([math.nan])
            if not np.isfinite(errors).all():
                done.diverged = len(done.history) + 1
                break
            done.history.append(float(errors.mean()))
            if not done.best or done.history[-1] < done.best_error:
                done.best_epoch = len(done.history)
                done.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            if time.monotonic() - written >= self.seconds_between:
                save_state(self.state, self.identity, self.model, optimiser, done)
                written = time.monotonic()
        return done

    def _goes_on(self, done: Progress) -> bool:
        epochs, patience = len(done.history), self.options.patience
        return epochs < self.options.epochs and not (patience and epochs - done.best_epoch >= patience)

    def _epoch(
        self,
        loader: BatchLoader[Batch],
        standardization: Standardization,
        optimiser: torch.optim.Optimizer,
        done: Progress,
        peak: float,
        advance: Advance,
    ) -> bool:
        """Trains for an epoch; returns whether every loss was finite."""
        self.model.train()
        for batch in loader:
            tokens, truth_BQC = _inputs(batch, standardization)
            loss = (self.model(tokens) - truth_BQC).square().mean() / self.model.scale.square()
            if not bool(loss.isfinite()):
                return False
            for group in optimiser.param_groups:
                group["lr"] = peak * warmup_cosine(done.step, self.options.epochs * len(loader))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
            optimiser.step()
            done.step += 1
            advance(len(batch.rows), batch.size)
        return True

    def _errors(self, standardization: Standardization) -> np.ndarray:
        """Returns the mean squared error of each validation sample, [V] float64."""
        found = predictions(self.model, self.data.val_dataloader(), standardization)
        return np.array([float((own - truth).double().square().mean()) for _, own, truth in found])

    def _beats_constant(self, standardization: Standardization) -> bool:
        """Tells whether it is better than the mean latent on validation by more than a standard error.

        The rule of `training.zeroth_epoch`: the best of many epochs on noise is a little better by chance.
        """
        rows = self.data.split.validation
        own = self._errors(standardization.to(device_of(self.options.device)))
        self.model.is_constant.fill_(True)
        constant = self._errors(standardization.to(device_of(self.options.device)))
        self.model.is_constant.fill_(False)
        gain = bootstrap_difference(
            constant[:, None],
            own[:, None],
            [self.groups[row] for row in rows],
            _mean_error,
            "mse",
            resamples=_RESAMPLES,
            confidence=_STANDARD_ERROR,
        )
        return gain is None or gain.low > 0


@torch.no_grad()
def predictions(
    model: LatentModel,
    loader: BatchLoader[Batch],
    standardization: Standardization,
    change: Callable[[list[Tensor]], list[Tensor]] | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yields joined samples with their predicted and their true latents, [Q, C] float32 on the CPU.

    `change` is done to the standardised tokens before.
    """
    model.eval()
    for batch in loader:
        tokens, truth_BQC = _inputs(batch, standardization)
        latents_BQC = model(change(tokens) if change else tokens).cpu()
        yield from zip(batch.rows, latents_BQC, truth_BQC.cpu(), strict=True)


def device_of(name: str) -> torch.device:
    """Returns the device of a name; of `auto` the GPU if there is one. Raises `UsageError` for one that is missing."""
    has_gpu = torch.cuda.is_available()
    if {"cuda": not has_gpu, "mps": not torch.backends.mps.is_available()}.get(name):
        raise UsageError(f"device is {name!r}, but torch finds none here; use 'auto' or 'cpu'")
    return torch.device(name if name != "auto" else "cuda" if has_gpu else "cpu")


def _inputs(batch: Batch, standardization: Standardization) -> tuple[list[Tensor], Tensor]:
    device = standardization.token_mean.device
    features = standardization(batch.features.to(device))
    truth = torch.stack([target for target in batch.targets[TARGET] if target is not None])
    return [point.tokens for point in features.every], truth.to(device)


def _mean_error(scores: Scores, counts_RS: np.ndarray) -> Mapping[str, np.ndarray]:
    return {"mse": mean(np.asarray(scores)[:, 0], counts_RS)}
