"""Where a model's parts are: all on one device, or shared out over every GPU and the memory of the host."""

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from foresight_cache.errors import MissingExtra, UsageError


def is_shared_out(device_map: str, device: str, *, compiled: bool) -> bool:
    """Returns True where a model is shared out over devices, by the options of `LoadOptions`.

    Raises `MissingExtra` without accelerate, and `UsageError` for options that need one device.
    """
    if device_map == "one":
        return False
    if device != "auto":
        raise UsageError(f"--device-map auto takes all devices, and --device {device} one; leave one of them out")
    if compiled:
        raise UsageError("--device-map auto moves what it computes between devices, which --compile cannot follow")
    if find_spec("accelerate") is None:
        raise MissingExtra("accelerate", extra="large", purpose="--device-map auto")
    return True


def loading_arguments(device: torch.device, *, shared_out: bool, quantised: bool) -> dict[str, Any]:
    """Returns the arguments of `from_pretrained` that place a model; none loads it into the memory of the host.

    Quantised weights have to be loaded where they are used.
    """
    if shared_out:
        return {"device_map": "auto"}
    return {"device_map": {"": str(device)}} if quantised else {}


def share_out(model: nn.Module) -> nn.Module:
    """Shares a model in the memory of the host out over the devices, as transformers does while it loads one."""
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    whole: Any = model
    memory = get_balanced_memory(whole, no_split_module_classes=whole._no_split_modules)
    places = infer_auto_device_map(whole, max_memory=memory, no_split_module_classes=whole._no_split_modules)
    shared: nn.Module = dispatch_model(whole, places)
    return shared
