"""Files of a model, what is in them, and the device that the model runs on.

A model text is a local directory or a hub id, which may have a revision behind it (`id@revision`), and before that the
folder `vae` of a pipeline (`id/vae`). Only safetensors weights and text files are ever fetched or read: no pickle, and
no code that comes with a model.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foresight_cache.encoders.weights import checkpoint_files, hub_snapshots, near_forms
from foresight_cache.encoders.weights.digest_cache import file_digest
from foresight_cache.encoders.weights.hub_snapshots import first_line
from foresight_cache.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch

SAFE_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.model")
"""Patterns of files that are fetched from a hub: weights without pickle, configuration, vocabulary, chat template."""
TEXT_FILES = tuple(pattern for pattern in SAFE_FILES if pattern != "*.safetensors")
DIFFUSERS_FILES = ("config.json", *checkpoint_files.OF_DIFFUSERS, "diffusion_pytorch_model-*-of-*.safetensors")
"""Patterns of the files of a model of diffusers; its weights in other number types are left where they are."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(/vae)?(@[\w.][\w./-]*)?")
_FAMILIES = {"AutoencoderKLLTXVideo": "ltx_vae"}
"""Families by their class of diffusers, whose configurations have no `model_type`."""


def model_type(model: str) -> str:
    """Returns the architecture that a model's configuration names, such as `qwen2_5_vl`.

    A configuration of diffusers names a class: that of a family is its name here, any other one is the class itself.
    Raises `ModelError`.
    """
    path = _local(model)
    if path:
        checkpoint_files.check_directory(path)
    return _model_type(path / "config.json" if path else hub_snapshots.config_file(model))


def identifier(model: str) -> str:
    """Returns a model's name in a fingerprint: its hub id, or a local directory's name without the path to it."""
    path = _local(model)
    return path.name if path else hub_snapshots.split_revision(model)[0]


def directory(model: str, files: Sequence[str] = SAFE_FILES) -> Path:
    """Returns the local directory of a model's files; a hub id's are fetched first, unless they are in the hub's cache.

    Raises `ModelError`.
    """
    path = _local(model) or hub_snapshots.snapshot(model, files)
    checkpoint_files.check_directory(path)
    return path


def at_revision(model: str, revision: str | None) -> str:
    """Returns a model text with the revision of `--revision` behind it. Raises `UsageError` where it can have none."""
    if revision is None:
        return model
    source = model.removeprefix("random:")
    if model.startswith("tiny:") or Path(source).expanduser().exists() or "@" in source:
        raise UsageError(f"--revision {revision!r} is for a hub id without one; the model is {model!r}")
    return f"{model}@{revision}"


def weights_digest(
    path: Path, names: checkpoint_files.Names = (checkpoint_files.WEIGHTS, checkpoint_files.INDEX)
) -> str:
    """Returns the SHA-256 over names and contents of the files that a model is loaded from. Raises `ModelError`."""
    total = hashlib.sha256()
    for file in checkpoint_files.weight_files(path, names):
        total.update(f"{file.name}\0{file_digest(file)}\n".encode())
    return total.hexdigest()


def load_processor(processor_class: Any, path: Path) -> Any:
    """Loads a transformers processor from a directory. Raises `ModelError`."""
    try:
        return processor_class.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} has no usable {processor_class.__name__}: {first_line(error)}") from error


def pick_device(text: str) -> "torch.device":
    """Returns the device that `--device` names; `auto` is the first GPU, else the CPU. Raises `UsageError`.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    import torch

    if text == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(text)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device {text!r} is not available here; name 'auto', 'cpu' or an existing 'cuda:N'"
        ) from error
    return device


def _local(model: str) -> Path | None:
    """Returns the directory that a model text names, or None where it is a hub id."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise ModelError(f"model {model!r} is a file; name the directory that holds its config.json")
    if not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"model {model!r} is not there; name an existing directory with a config.json, "
            f"a hub id such as Qwen/Qwen2.5-VL-7B-Instruct (with @ and a revision, if you like), or tiny:<family>"
        )
    return None


def _model_type(config: Path) -> str:
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        kind = settings.get("_class_name")
        architecture = settings.get("model_type") or (_FAMILIES.get(kind, kind) if isinstance(kind, str) else None)
    except FileNotFoundError as error:
        known = near_forms.what_it_is(config.parent)
        told = f"is {known}" if known else "has no config.json, so it is not a model's directory"
        raise ModelError(f"{config.parent} {told}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{config} cannot be read as a model's configuration: {error}") from error
    if not isinstance(architecture, str):
        if known := near_forms.what_it_is(config.parent):
            raise ModelError(f"{config.parent} is {known}")
        raise ModelError(f"{config} has no 'model_type', so the model's family is unknown")
    return architecture
