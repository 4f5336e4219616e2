"""Weights of a run: a safetensors file with the head's parameters and the standardization that belongs before it."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

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


def to_bytes(weights: Mapping[str, Tensor], standardization: Standardization, identity: str) -> bytes:
    """Returns the content of a file with a head's weights and what its features are standardised by."""
    tensors = {f"{HEAD}{name}": weight.cpu().contiguous() for name, weight in weights.items()}
    for number, fitted in enumerate((standardization, *standardization.others)):
        for name in _NAMES:
            tensors[f"{STANDARDIZATION}{number}.{name}"] = getattr(fitted, name).cpu().contiguous()
    return save(tensors, metadata={IDENTITY: identity})


def load_weights(path: Path, identity: str) -> tuple[dict[str, Tensor], Standardization]:
    """Returns weights for `head.load_state_dict`, and the standardization of the features that it takes.

    Raises `ProbeError` where the file is missing or damaged, or is of another run than `identity` (`Result.identity`).
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
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
    return weights, Standardization(**{name: getattr(first, name) for name in _NAMES}, others=tuple(others))


_NAMES = tuple(field.name for field in fields(Standardization) if field.name != "others")
