"""The account of a checkpoint: each tensor is used, left out by a named rule, or refused by name."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from foresight_cache.encoders.weights.checkpoint_files import StoredTensor
from foresight_cache.errors import ModelError

Rules = Mapping[str, str]
"""Names of what is left out on purpose, such as `text tower`, and patterns of the names of its tensors."""

COMMON_RULES: Rules = {
    "output head": r"^(model\.|language_model\.)*lm_head\.",
    "constants that are computed anew": r"(\.inv_freq|\.original_inv_freq|(^|\.)position_ids)$",
}
"""What no tap of any family needs."""

_QUANTISED = (
    "they belong to quantised numbers, which are wrong without them; name the unquantised model, "
    "or the checkpoint with its own quantization_config"
)
_ADAPTER = (
    "they belong to an adapter that was not merged; merge it, as by peft's merge_and_unload(), and save the model anew"
)
_OTHERWISE = (
    "they may be a trained part under another name; name a checkpoint of this class, or save the model anew with "
    "transformers"
)
_REMEDIES = {
    r"(scale|scales|scale_inv|scale_2|SCB|weight_format|qweight|qzeros|g_idx|absmax|quant_map|nested_\w+"
    r"|weight_packed|weight_shape|zero_point|biases)$|\.quant_state\.": _QUANTISED,
    r"lora_|\.base_layer\.|\.modules_to_save\.|\.hada_|\.ia3_|adapter": _ADAPTER,
}


def check_account(
    report: Mapping[str, Any],
    model: nn.Module,
    stored: Mapping[str, StoredTensor],
    *,
    left_out: Mapping[str, Collection[str]],
    rules: Rules,
    path: Path,
) -> None:
    """Raises `ModelError` where a checkpoint and a model that was loaded from it do not have the same tensors.

    `report` is what transformers says of loading, `stored` the tensors of the files, and `left_out` the modules
    that no tap needs, by path, each with the names of its parts.
    """
    name = type(model).__name__
    if mismatched := sorted((text, tuple(there), tuple(here)) for text, there, here in report["mismatched_keys"]):
        tensor, there, here = mismatched[0]
        raise ModelError(
            f"the weights in {path} do not fit its config.json: {tensor} is {_sides(there)} there and {_sides(here)} "
            f"by the configuration ({_tensors(len(mismatched))} in all); take config.json and weights of one model"
        )
    if missing := sorted(report["missing_keys"]):
        shape = model.state_dict()[missing[0]].shape if missing[0] in model.state_dict() else ()
        raise ModelError(
            f"the weights in {path} lack {_tensors(len(missing))} of {name}, such as {missing[0]}"
            f"{f' ({_sides(shape)} by the configuration)' if shape else ''}; download the model again, "
            f"or name a checkpoint of this class"
        )
    if unused := unaccounted(report["unexpected_keys"], left_out, rules):
        raise ModelError(
            f"{_tensors(len(unused))} of the weights in {path} are no part of {name}, such as {unused[0]}"
            f"{_stored_shape(unused[0], stored)}: {_remedy(unused)}"
        )


def unaccounted(names: Iterable[str], left_out: Mapping[str, Collection[str]], rules: Rules) -> list[str]:
    """Returns the names of tensors that lie in no part of a module that was left out, and that no rule names, sorted.

    All that lies in a numbered block is a part of it; transformers may have given it another name on the way.

    >>> names = ["model.text.layers.7", "model.text.layers_2.0", "lm_head.weight", "model.norm.scale"]
    >>> unaccounted(names, {"model.text": ["layers"]}, {"output head": "^lm_head"})
    ['model.norm.scale', 'model.text.layers_2.0']
    """
    blocks = [f"{path}." for path in left_out if path.rpartition(".")[2].isdecimal()]
    places = (*blocks, *(f"{path}.{part}." for path, parts in left_out.items() for part in parts))
    patterns = [re.compile(pattern) for pattern in rules.values()]
    return sorted(
        name
        for name in names
        if not f"{name}.".startswith(places) and not any(pattern.search(name) for pattern in patterns)
    )


def check_numbers(stored: Mapping[str, StoredTensor], path: Path) -> None:
    """Raises `ModelError` for matrices of whole numbers, which would be taken as they are for weights."""
    packed = sorted(
        name
        for name, tensor in stored.items()
        if tensor.kind[0] in "IU" and len(tensor.shape) > 1 and not name.endswith("position_ids")
    )
    if packed:
        first = stored[packed[0]]
        raise ModelError(
            f"{_tensors(len(packed))} of the weights in {path} are whole numbers, such as {packed[0]} "
            f"({_sides(first.shape)} of {first.kind}): {_QUANTISED}"
        )


def _remedy(names: Iterable[str]) -> str:
    return next((text for pattern, text in _REMEDIES.items() if any(re.search(pattern, n) for n in names)), _OTHERWISE)


def _stored_shape(name: str, stored: Mapping[str, StoredTensor]) -> str:
    """Returns a tensor's shape in the file, where it has another prefix than the model's own, if at all."""
    found = stored.get(name) or next(
        (tensor for text, tensor in stored.items() if name.endswith(f".{text}") or text.endswith(f".{name}")), None
    )
    return f" ({_sides(found.shape)} there, absent from the model)" if found else ""


def _tensors(count: int) -> str:
    return f"{count:,} tensor{'s' * (count != 1)}"


def _sides(shape: Iterable[int]) -> str:
    """Returns a shape for a person.

    >>> _sides((64, 96)), _sides(())
    ('64 × 96', 'one number')
    """
    return " × ".join(map(str, shape)) or "one number"
