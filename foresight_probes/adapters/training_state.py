"""What a training has come to, kept so that one that was killed goes on to the same weights."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file

_IDENTITY, _PROGRESS = "identity", "progress"
_MODEL, _BEST, _OPTIMISER = "model.", "best.", "optimiser."


@dataclass(kw_only=True)
class Progress:
    """How far a training is. `history` has the validation error after each epoch."""

    step: int = 0
    best_epoch: int = 0
    history: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights after the best epoch; empty before the first one."""
    diverged: int | None = None
    """Epoch, from 1, in which the loss was no longer finite."""

    @property
    def best_error(self) -> float:
        """Least validation error so far."""
        return self.history[self.best_epoch - 1] if self.best_epoch else float("inf")

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("step", "best_epoch", "history", "diverged")}


def save_state(path: Path, identity: str, model: nn.Module, optimiser: torch.optim.Optimizer, done: Progress) -> None:
    """Writes a file, whole or not at all. Raises `ProbeError` where it cannot."""
    tensors = {f"{_MODEL}{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"{_BEST}{name}": value for name, value in done.best.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"{_OPTIMISER}{number}.{name}": value for name, value in values.items()}
    metadata = {_IDENTITY: identity, _PROGRESS: json.dumps(done.to_json())}
    apart = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    try:
        write_file(path, save(apart, metadata=metadata))
    except OSError as error:
        raise ProbeError(
            f"cannot keep the training in {path}: {error.strerror or error}; name another --out"
        ) from error


def load_state(path: Path, identity: str, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Brings model and optimiser to where a training was left, and returns how far that is; where nothing is kept, 0.

    Raises `ProbeError` for a file that is damaged or of another adapter, of other data or options.
    """
    if not path.exists():
        return Progress()
    check_identity(path, identity)
    tensors, metadata = _read(path)
    model.load_state_dict(_under(tensors, _MODEL))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, _OPTIMISER).items():
        number, _, inner = name.partition(".")
        state.setdefault(int(number), {})[inner] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return Progress(**json.loads(metadata[_PROGRESS]), best=_under(tensors, _BEST))


def check_identity(path: Path, identity: str) -> None:
    """Raises `ProbeError` for a state, or weights, of another adapter, of other data or options; not for no file."""
    if path.exists() and _metadata(path).get(_IDENTITY) != identity:
        raise ProbeError(
            f"{path} holds the training of another adapter, or of one on other data or with other options; remove it, "
            "or name another --out"
        )


def _metadata(path: Path) -> dict[str, str]:
    with _damage_named(path), safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with _damage_named(path), safe_open(path, framework="pt") as file:
        names = list(file.keys())
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise ProbeError(f"{path} is damaged ({error}); remove it and run the same command again") from error


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
