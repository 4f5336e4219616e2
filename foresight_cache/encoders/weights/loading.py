"""Models with only the modules that some taps need: whatever comes later is neither read from disk nor in memory."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foresight_cache.encoders.weights import attention as attentions
from foresight_cache.encoders.weights import checkpoint_files, placement, quantisation, tiny_models
from foresight_cache.encoders.weights.accounting import Rules, check_account, check_numbers
from foresight_cache.encoders.weights.hub_snapshots import first_line
from foresight_cache.errors import ModelError
from foresight_cache.records import digest

Pruner = Callable[[nn.Module], None]
"""Function that takes away, in place, what is not needed of a model that has just been made."""

PIXEL_SETTINGS = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_convert_rgb")
"""Settings of an image or video processor that decide the values of pixels whose size is given."""


class NotLoaded(nn.Module):
    """Stand-in for a module that was left out, so that hooks find something to be attached to."""

    def __init__(self, parts: frozenset[str] = frozenset()) -> None:
        """`parts` are the names of the modules and tensors right inside the one that was left out."""
        super().__init__()
        self.parts = parts

    def forward(self, *_args: object, **_kwargs: object) -> None:
        raise ModelError("a part of the model that was not loaded was run; load the model with all taps that are read")


def leave_out(root: nn.Module, path: str) -> None:
    """Replaces the module at a path by `NotLoaded`; does nothing where there is no such module."""
    parent, _, name = path.rpartition(".")
    owner = root.get_submodule(parent)
    module = dict(owner.named_children()).get(name)
    if module is not None and not isinstance(module, NotLoaded):
        held = [*module.named_children(), *module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        setattr(owner, name, NotLoaded(frozenset(part for part, _ in held)))


def load_config(model_class: str, path: Path) -> Any:
    """Loads the configuration in a directory for a class of transformers. Raises `ModelError`."""
    config_class = _transformers_class(model_class).config_class
    try:
        return config_class.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"{path / 'config.json'} is not a configuration of {model_class}: {str(error).splitlines()[0]}"
        ) from error


def load_pretrained(
    model_class: str,
    path: Path,
    dtype: str,
    attention: str,
    prune_model: Pruner,
    *,
    rules: Rules,
    device: torch.device,
    shared_out: bool,
) -> Any:
    """Loads a model from a directory's safetensors: on the CPU, or where `placement.loading_arguments` says.

    Raises `UsageError`, and `ModelError` for each tensor that the files have and the model has not, or in another
    shape, or the other way round, but for the parts that `prune_model` leaves out and for tensors that `rules` name.
    """
    quantised = quantisation.settings_of(path)
    placed = placement.loading_arguments(device, shared_out=shared_out, quantised=quantised is not None)
    quantisation.check(quantised, str(path))
    stored = checkpoint_files.check_weights(path)
    if not quantised:
        check_numbers(stored, path)
    with _quiet(), attentions.told(attention):
        model, report = _loaded(_pruned_class(model_class, prune_model), path, dtype, attention, placed)
    if quantised:
        quantisation.unify(model, getattr(torch, dtype))
    attentions.check_used(model, attention)
    left_out = {name: module.parts for name, module in model.named_modules() if isinstance(module, NotLoaded)}
    check_account(report, model, stored, left_out=left_out, rules=rules, path=path)
    return model


def _loaded(
    model_class: Any, path: Path, dtype: str, attention: str, placed: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    """Returns a model, and what transformers says of loading it. Raises `ModelError`."""
    from safetensors import SafetensorError

    try:
        loaded: tuple[Any, Mapping[str, Any]] = model_class.from_pretrained(
            path,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # so that the report has them, which is read
            output_loading_info=True,
            **placed,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the weights in {path} do not load as {model_class.__name__}: {first_line(error)}") from error
    return loaded


def make_random(model_class: str, config: Any, dtype: str, attention: str, prune_model: Pruner, seed: int) -> Any:
    """Makes a model with seeded random weights, on the CPU; the global random numbers stay as they were.

    A weight depends on the seed, its name and its shape, and not on what else is there. Raises `UsageError`.
    """
    with torch.random.fork_rng(devices=[]), _quiet(), attentions.told(attention):
        model = _pruned_class(model_class, prune_model).from_pretrained(
            None, config=config, state_dict={}, dtype=getattr(torch, dtype), attn_implementation=attention
        )
    attentions.check_used(model, attention)
    tiny_models.randomise(model, seed)
    return model


def lasting_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration without what says where, by which version and in which number type it was loaded."""
    transient = {"_name_or_path", "transformers_version", "dtype", "architectures", tiny_models.SEED_FIELD}
    kept = {name: value for name, value in config.items() if name not in transient}
    return {
        name: lasting_config(value) if isinstance(value, Mapping) else _plain(value) for name, value in kept.items()
    }


def processor_settings(processor: Any, names: Sequence[str] = PIXEL_SETTINGS) -> dict[str, Any]:
    """Returns the named settings of an image or video processor, as JSON values, and its class."""
    stored = processor.to_dict()
    return {"class": type(processor).__name__} | {name: _plain(stored.get(name)) for name in names}


def tokenizer_digest(tokenizer: Any) -> str:
    """Returns the SHA-256 of what decides the tokens of a text, in hexadecimal; padding is no part of it."""
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        return digest([type(tokenizer).__name__, tokenizer.get_vocab(), sorted(tokenizer.all_special_tokens)])
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    return digest({name: value for name, value in stored.items() if name not in ("padding", "truncation", "version")})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _transformers_class(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def _pruned_class(model_class: str, prune_model: Pruner) -> Any:
    """Returns a class of transformers whose instances are pruned before any weight is looked for."""
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
    """Silences transformers' reports of weights that are there and not used, or used and not there."""
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
