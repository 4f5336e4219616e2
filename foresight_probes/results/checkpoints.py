"""Weights of a run: a safetensors file with the head's parameters and the standardization that belongs before it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_probes.features.standardization import Standardization

HEAD = "head."
"""Prefix of the names of the head's parameters."""
STANDARDIZATION = "standardisation."
"""Prefix of the names of means and scales, spelled so in files, with the number of the point:
`standardisation.0.token_mean`."""
IDENTITY = "identity"
"""Field of the file's metadata that holds the run's identity."""
RECIPE = "recipe"
"""Field of the file's metadata that tells, in JSON, how the head is made that takes the weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What a file holds."""

    weights: dict[str, Tensor]
    """Weights for `head.load_state_dict`."""
    standardization: Standardization
    """Standardization of the features that the head takes."""
    recipe: dict[str, Any]
    """How the head is made (`training.kept_head`); empty where the file does not tell."""


def to_bytes(
    weights: Mapping[str, Tensor], standardization: Standardization, identity: str, recipe: Mapping[str, Any]
) -> bytes:
    """Returns the content of a file with a head's weights, how it is made, and what standardises its features."""
    tensors = {f"{HEAD}{name}": weight.cpu().contiguous() for name, weight in weights.items()}
    for number, fitted in enumerate((standardization, *standardization.others)):
        for name in _NAMES:
            tensors[f"{STANDARDIZATION}{number}.{name}"] = getattr(fitted, name).cpu().contiguous()
    return _in_order(save(tensors, metadata={IDENTITY: identity, RECIPE: json.dumps(recipe)}))


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata in alphabetical order, which is another each time it is saved.

    A file begins with the length of its header, 8 bytes, little endian; places of tensors count from the header's end.
    """
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def load_weights(path: Path, identity: str) -> tuple[dict[str, Tensor], Standardization]:
    """Returns the weights and the standardization of a checkpoint; raises as `load_checkpoint` does."""
    stored = load_checkpoint(path, identity)
    return stored.weights, stored.standardization


def load_checkpoint(path: Path, identity: str) -> Checkpoint:
    """Reads a file.

    Raises `ProbeError` where it is missing or damaged, or is of another run than `identity` (`Result.identity`).
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            recipe = json.loads(metadata.get(RECIPE, "{}"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ProbeError(f"{path} is missing or damaged ({error}); remove its run and train it again") from error
    if metadata.get(IDENTITY) != identity:
        raise ProbeError(f"{path} holds the weights of another run; remove its run and train it again")
    weights = {name.removeprefix(HEAD): tensor for name, tensor in tensors.items() if name.startswith(HEAD)}
    count = sum(name.endswith(".token_mean") for name in tensors if name.startswith(STANDARDIZATION))
    points = [
        Standardization(**{name: tensors[f"{STANDARDIZATION}{number}.{name}"] for name in _NAMES})
        for number in range(count)
    ]
    first, *others = points
    standardization = Standardization(**{name: getattr(first, name) for name in _NAMES}, others=tuple(others))
    return Checkpoint(weights=weights, standardization=standardization, recipe=recipe)


_NAMES = tuple(field.name for field in fields(Standardization) if field.name != "others")
