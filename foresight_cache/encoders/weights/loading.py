"""Models with only the modules that some taps need: whatever comes later is neither read from disk nor in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foresight_cache.encoders import Tap
from foresight_cache.encoders.weights import model_files, tiny_models
from foresight_cache.errors import ModelError, UsageError

Prune = Callable[[nn.Module], None]
"""Takes away, in place, what is not needed of a model that has just been made."""


class NotLoaded(nn.Module):
    """Stands where a module was left out, so that hooks find their place."""

    def forward(self, *_args: object, **_kwargs: object) -> None:
        raise ModelError("a part of the model that was not loaded was run; load the model with all taps that are read")


def prune(root: nn.Module, taps: Sequence[Tap], deepest: str) -> None:
    """Leaves out the modules of all taps after `deepest`; `taps` are in the order of computation.

    A module whose input is the deepest tap is left out as well: the forward pass ends before it.
    """
    last = next(number for number, tap in enumerate(taps) if tap.name == deepest)
    needed = [tap.module for tap in taps[: last + 1] if tap.side == "output"]
    for tap in taps[last:]:
        if not any(module == tap.module or module.startswith(f"{tap.module}.") for module in needed):
            leave_out(root, tap.module)


def leave_out(root: nn.Module, path: str) -> None:
    """Puts `NotLoaded` where the module was; a module that is not there is none to leave out."""
    parent, _, name = path.rpartition(".")
    owner = root.get_submodule(parent)
    if isinstance(getattr(owner, name, None), nn.Module):
        setattr(owner, name, NotLoaded())


def load_config(model_class: str, path: Path) -> Any:
    """The configuration of a directory for a class of transformers. Raises `ModelError`."""
    config_class = _transformers_class(model_class).config_class
    try:
        return config_class.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"{path / 'config.json'} is no configuration of {model_class}: {str(error).splitlines()[0]}"
        ) from error


def load_pretrained(model_class: str, path: Path, dtype: str, attention: str, prune_model: Prune) -> Any:
    """A model from a directory's safetensors, on the CPU. Raises `ModelError` and `UsageError`."""
    with _quiet(), _attention_errors(attention):
        return model_files.load_weights(_pruned_class(model_class, prune_model), path, getattr(torch, dtype), attention)


def make_random(model_class: str, config: Any, dtype: str, attention: str, prune_model: Prune, seed: int) -> Any:
    """A model with seeded random weights, on the CPU; the global random numbers stay as they were.

    A weight depends on the seed, its name and its shape, and not on what else is there. Raises `UsageError`.
    """
    with torch.random.fork_rng(devices=[]), _quiet(), _attention_errors(attention):
        model = _pruned_class(model_class, prune_model).from_pretrained(
            None, config=config, state_dict={}, dtype=getattr(torch, dtype), attn_implementation=attention
        )
    tiny_models.randomise(model, seed)
    return model


def lasting_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what says where and by which version it was loaded, and in which number type."""
    passing = {"_name_or_path", "transformers_version", "dtype", "architectures", tiny_models.SEED_FIELD}
    kept = {name: value for name, value in config.items() if name not in passing}
    return {
        name: lasting_config(value) if isinstance(value, Mapping) else _plain(value) for name, value in kept.items()
    }


def processor_settings(processor: Any, names: Sequence[str]) -> dict[str, Any]:
    """The named settings of an image or video processor, as JSON values, and its class."""
    made = processor.to_dict()
    return {"class": type(processor).__name__} | {name: _plain(made.get(name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _transformers_class(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def _pruned_class(model_class: str, prune_model: Prune) -> Any:
    """The class of transformers, whose instances are pruned before any weight is looked for."""
    whole = _transformers_class(model_class)

    def make(self: Any, config: Any, *others: Any, **options: Any) -> None:
        whole.__init__(self, config, *others, **options)
        prune_model(self)
        present = set(dict(self.named_parameters(remove_duplicate=False)))
        self.all_tied_weights_keys = {
            target: source for target, source in self.all_tied_weights_keys.items() if {target, source} <= present
        }

    return type(model_class, (whole,), {"__init__": make, "__module__": whole.__module__})


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' reports of weights that are there and not used, or used and not there."""
    import transformers

    logging: Any = transformers.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


@contextmanager
def _attention_errors(attention: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, ValueError, ModelError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        if "attention" not in reason.lower() and "attn" not in reason:
            raise
        raise UsageError(
            f"--attn {attention} is not available here: {reason.rstrip('.:')}; choose another, such as sdpa"
        ) from error
