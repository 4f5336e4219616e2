"""Quantised checkpoints: by which scheme, what it takes to load them, and what they are without it."""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foresight_cache.errors import ModelError

if TYPE_CHECKING:
    import torch

FIELD = "quantization_config"
"""Field of a configuration that says how its weights are quantised."""

_TITLES = {
    "awq": "AWQ",
    "gptq": "GPTQ",
    "bitsandbytes": "bitsandbytes",
    "fp8": "FP8 in blocks",
    "fbgemm_fp8": "FBGEMM FP8",
    "mxfp4": "MXFP4",
    "compressed-tensors": "compressed-tensors",
    "torchao": "torchao",
    "auto-round": "AutoRound",
    "quanto": "quanto",
    "hqq": "HQQ",
    "eetq": "EETQ",
    "mlx": "MLX",
}
_PACKAGES = {
    "awq": ("gptqmodel", "accelerate"),
    "gptq": ("gptqmodel", "optimum", "accelerate"),
    "bitsandbytes": ("bitsandbytes", "accelerate"),
    "fp8": ("accelerate",),
    "fbgemm_fp8": ("fbgemm_gpu", "accelerate"),
    "mxfp4": ("kernels", "accelerate"),
    "compressed-tensors": ("compressed_tensors", "accelerate"),
    "torchao": ("torchao", "accelerate"),
    "auto-round": ("auto_round", "accelerate"),
    "quanto": ("optimum.quanto", "accelerate"),
    "hqq": ("hqq", "accelerate"),
    "eetq": ("kernels", "accelerate"),
}
"""Packages that transformers loads each scheme with, by the names that they are imported by."""


def settings_of(path: Path) -> dict[str, Any] | None:
    """Returns how the weights of the model in a directory are quantised, by its config.json; None where they are not.

    Of a part of a model the configuration that transformers makes does not say so.
    """
    try:
        whole = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for part in (whole, whole.get("text_config")) if isinstance(whole, dict) else ():
        settings = part.get(FIELD) if isinstance(part, dict) else None
        if isinstance(settings, dict) and _method(settings) is not None:
            return settings
        if isinstance(part, dict) and isinstance(packed := part.get("quantization"), dict):  # as MLX writes it
            return {"quant_method": "mlx", **packed}
    return None


def without(config: Any) -> Any:
    """Takes the quantisation out of a configuration, in place, and returns it."""
    for part in (config, *(vars(config).get(name) for name in config.sub_configs)):
        if part is not None:
            vars(part).pop(FIELD, None)
    return config


def scheme(settings: Mapping[str, Any]) -> str:
    """Returns the scheme of a quantisation for a person.

    >>> scheme({"quant_method": "awq", "bits": 4}), scheme({"load_in_8bit": True}), scheme({"quant_method": "new"})
    ('AWQ, 4 bits', 'bitsandbytes, 8 bits', 'new')
    """
    method = _method(settings) or "an unknown scheme"
    bits = settings.get("bits") or next((n for n in (4, 8) if settings.get(f"load_in_{n}bit")), None)
    return f"{_TITLES.get(method, method)}{f', {bits} bits' if bits else ''}"


def sentence(settings: Mapping[str, Any]) -> str | None:
    """Returns what keeps quantised weights from being loaded here, as part of a message; None where nothing does."""
    method, remedy = (
        _method(settings) or "",
        "name the unquantised model, or take random:<model> for its architecture alone",
    )
    start = f"quantised by {scheme(settings)}, which"
    packages = _PACKAGES.get(method)
    if packages is None:
        return f"{start} is not supported; {remedy}"
    if absent := [name for name in packages if not _is_there(name)]:
        return f"{start} needs the package{'s' * (len(absent) > 1)} {' and '.join(absent)}; {remedy}"
    if reason := _refusal(settings):
        return f"{start} cannot be loaded here ({reason}); {remedy}"
    return None


def check(settings: Mapping[str, Any] | None, model: str) -> None:
    """Raises `ModelError` where weights are quantised and cannot be loaded here."""
    if settings and (reason := sentence(settings)):
        raise ModelError(f"the weights of {model} are {reason}")


def identity(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns what a fingerprint says of a quantisation: the scheme, and the packages that compute with it."""
    if settings is None:
        return None
    packages = _PACKAGES.get(_method(settings) or "", ())
    return {"scheme": scheme(settings), **{name: _version(name) for name in packages}}


def unify(model: Any, dtype: "torch.dtype") -> None:
    """Makes all weights of one type, where transformers made plain numbers of quantised ones.

    So it does of FP8 without a GPU, and gives those that were quantised the type of their scales.
    """
    if getattr(model, "hf_quantizer", None) is not None:
        return
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)


def _method(settings: Mapping[str, Any]) -> str | None:
    """Returns the name that transformers has for a scheme; None for settings that name none."""
    if settings.get("load_in_4bit") or settings.get("load_in_8bit"):
        return "bitsandbytes"
    method = settings.get("quant_method")
    return method if isinstance(method, str) else None


def _refusal(settings: Mapping[str, Any]) -> str | None:
    """Returns why transformers refuses a scheme whose packages are there, in one line."""
    from transformers.quantizers.auto import AutoHfQuantizer

    try:
        quantizer: Any = AutoHfQuantizer.from_config(dict(settings), pre_quantized=True)
        quantizer.validate_environment(device_map=None, weights_only=True)
    except (ImportError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        return " ".join(str(error).split())[:200].rstrip(".:") or type(error).__name__
    return None


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def _version(package: str) -> str | None:
    try:
        return version(package.replace("_", "-").replace(".", "-"))
    except PackageNotFoundError:
        return None
