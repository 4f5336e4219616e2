"""Models of diffusers: a class by its name, its configuration, and its weights from safetensors alone.

Nothing here asks a hub; diffusers itself is loaded when a model is made, and not before.
"""

import importlib
import inspect
import json
from collections.abc import Collection, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foresight_cache.encoders.weights import checkpoint_files, tiny_models
from foresight_cache.encoders.weights.accounting import check_account
from foresight_cache.encoders.weights.hub_snapshots import first_line
from foresight_cache.encoders.weights.loading import leave_out
from foresight_cache.errors import MissingExtra, ModelError

Config = Mapping[str, Any]
"""Arguments of a class of diffusers, by name."""


def check_installed(purpose: str) -> None:
    """Raises `MissingExtra` where diffusers is not there."""
    if find_spec("diffusers") is None:
        raise MissingExtra("diffusers", extra="diffusers", purpose=purpose)


def load_config(model_class: str, path: Path) -> Config:
    """Returns the arguments of a class that the configuration in a directory has. Raises `ModelError`."""
    file = path / "config.json"
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        kind = settings.get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{file} cannot be read as a configuration of diffusers: {first_line(error)}") from error
    if kind != model_class:
        raise ModelError(f"{file} is of the class {kind!r}, expected {model_class}; name the directory of such a model")
    if settings.get("quantization_config"):
        raise ModelError(f"{file} is of quantised weights, which are not read here; name the unquantised model")
    return {name: value for name, value in settings.items() if not name.startswith("_")}


def make(model_class: str, config: Config, place: str, left_out: Collection[str] = ()) -> nn.Module:
    """Makes a model with the weights that its class draws, without the modules `left_out`.

    `place` is where the configuration is from, for a message. Raises `ModelError` for one that makes no such model.
    """
    whole = getattr(importlib.import_module("diffusers"), model_class)
    arguments = {name: value for name, value in config.items() if name != tiny_models.SEED_FIELD}
    # Which diffusers would leave out, although a part of the model may depend on them.
    if unknown := sorted(arguments.keys() - inspect.signature(whole).parameters.keys()):
        raise ModelError(
            f"the configuration of {place} has {unknown[0]!r}, which {model_class} of diffusers {version('diffusers')} "
            f"does not know; install a newer diffusers, or take the configuration as it was published"
        )
    try:
        with torch.random.fork_rng(devices=[]):
            model: nn.Module = whole.from_config(arguments)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError) as error:
        raise ModelError(f"the configuration of {place} does not make {model_class}: {first_line(error)}") from error
    for module in left_out:
        leave_out(model, module)
    return model


def load_pretrained(
    model_class: str, config: Config, path: Path, *, left_out: Collection[str], needed: Collection[str]
) -> nn.Module:
    """Loads a model from a directory's safetensors on the CPU, in the number types of the files.

    Raises `ModelError` for files without the buffers `needed`, which a new model would have as zeros and ones, and for
    each tensor that the files have and the model has not, or in another shape, or the other way round, but for what
    lies in the modules `left_out`.
    """
    from safetensors.torch import load_file

    stored = checkpoint_files.check_weights(path, checkpoint_files.OF_DIFFUSERS)
    if absent := [name for name in needed if name not in stored]:
        raise ModelError(
            f"the weights in {path} lack {' and '.join(absent)}, by which latents are normalised; take the weights as "
            f"diffusers has them, such as those of Lightricks/LTX-Video/vae"
        )
    model = make(model_class, config, str(path), left_out)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    parts = {module: tuple(getattr(model.get_submodule(module), "parts", ())) for module in left_out}
    shapes = {name: tensor.shape for name, tensor in stored.items()}
    report = {
        "missing_keys": expected.keys() - shapes.keys(),
        "unexpected_keys": shapes.keys() - expected.keys(),
        "mismatched_keys": [
            (name, shapes[name], shape) for name, shape in expected.items() if shapes.get(name, shape) != shape
        ],
    }
    check_account(report, model, stored, left_out=parts, rules={}, path=path)
    for file in checkpoint_files.weight_files(path, checkpoint_files.OF_DIFFUSERS):
        read = {name: tensor for name, tensor in load_file(file).items() if name in expected}
        model.load_state_dict(read, strict=False, assign=True)
    return model
