"""Files of a model, what is in them, and the device that the model runs on.

A model text is a local directory or a hub id. Only safetensors weights and text files are ever fetched or read:
no pickle, and no code that comes with a model.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from foresight_cache.encoders.weights import checkpoint_files
from foresight_cache.encoders.weights.digest_cache import file_digest
from foresight_cache.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch

SAFE_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja")
"""Patterns of files that are fetched from a hub: weights without pickle, configuration, vocabulary, chat template."""
TEXT_FILES = tuple(pattern for pattern in SAFE_FILES if pattern != "*.safetensors")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_T = TypeVar("_T")


def model_type(model: str) -> str:
    """Returns the architecture that a model's configuration names, such as `qwen2_5_vl`. Raises `ModelError`."""
    path = _local(model)
    if path:
        checkpoint_files.check_directory(path)
    config = path / "config.json" if path else _from_hub(model, lambda hub: hub.hf_hub_download(model, "config.json"))
    return _model_type(Path(config))


def identifier(model: str) -> str:
    """Returns a model's name in a fingerprint: its hub id, or a local directory's name without the path to it."""
    path = _local(model)
    return path.name if path else model


def directory(model: str, files: Sequence[str] = SAFE_FILES) -> Path:
    """Returns the local directory of a model's files; a hub id's are fetched first, unless they are in the hub's cache.

    Raises `ModelError`.
    """
    path = _local(model) or Path(_from_hub(model, lambda hub: hub.snapshot_download(model, allow_patterns=list(files))))
    checkpoint_files.check_directory(path)
    return path


def revision(path: Path) -> str | None:
    """Returns the commit of a snapshot in the hub's cache; None for a directory of one's own.

    >>> revision(Path("hub/models--org--name/snapshots/0a1b2c"))
    '0a1b2c'
    """
    return path.name if path.parent.name == "snapshots" else None


def weights_digest(path: Path) -> str:
    """Returns the SHA-256 over names and contents of the files that a model is loaded from. Raises `ModelError`."""
    total = hashlib.sha256()
    for file in checkpoint_files.weight_files(path):
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
            f"a hub id such as Qwen/Qwen2.5-VL-7B-Instruct, or tiny:<family>"
        )
    return None


def _model_type(config: Path) -> str:
    try:
        architecture = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except FileNotFoundError as error:
        raise ModelError(f"{config.parent} has no config.json, so it is not a model's directory") from error
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{config} cannot be read as a model's configuration: {error}") from error
    if not isinstance(architecture, str):
        raise ModelError(f"{config} has no 'model_type', so the model's family is unknown")
    return architecture


def _from_hub(model: str, fetch: Callable[..., _T]) -> _T:
    """Returns what `fetch(huggingface_hub)` does, with the hub's many errors as one sentence."""
    import huggingface_hub
    from huggingface_hub import errors

    # The base class of whichever HTTP library this version of the hub's client uses.
    connection_error: type[Exception] = vars(errors)["HTTPError"]
    try:
        return fetch(huggingface_hub)
    except errors.GatedRepoError as error:
        raise ModelError(
            f"model {model!r} is gated on the hub; accept its terms there and log in with 'hf auth login'"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(f"model {model!r} is neither a local directory nor a public model on the hub") from error
    except errors.RemoteEntryNotFoundError as error:
        raise ModelError(f"model {model!r} on the hub has no config.json, so its family is unknown") from error
    except errors.LocalEntryNotFoundError as error:
        raise ModelError(
            f"model {model!r} is neither a local directory nor in the hub's cache, and the hub cannot be reached; "
            f"check the network, or download the model elsewhere and name its directory"
        ) from error
    except (OSError, ValueError, connection_error) as error:
        raise ModelError(
            f"model {model!r} is not a local directory and could not be fetched from the hub ({first_line(error)}); "
            f"check the network, or download the model elsewhere and name its directory"
        ) from error


def first_line(error: Exception) -> str:
    """Returns what another library has to say, as part of one sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
