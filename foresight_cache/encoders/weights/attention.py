"""The implementation of attention: the one that was asked for, or none; transformers would take another in silence."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from foresight_cache.errors import ModelError, UsageError

_FLASH_PACKAGES = {
    "flash_attention_2": "flash_attn",
    "flash_attention_3": "flash_attn_interface",
    "flash_attention_4": "flash_attn.cute",
}
"""Packages of flash attention, in whose absence transformers would fetch compiled code from the hub."""


def check_name(attention: str) -> None:
    """Raises `UsageError` for an implementation that would be fetched as code, or whose package is not there."""
    if "/" in attention:
        raise UsageError(f"--attn {attention} would run code from a hub, which is never done; choose sdpa or eager")
    package = _FLASH_PACKAGES.get(attention)
    if package and not _is_there(package):
        raise UsageError(
            f"--attn {attention} is not available here: it needs the package {package.partition('.')[0]}; "
            f"choose another, such as sdpa"
        )


def check_used(model: Any, attention: str) -> None:
    """Raises `UsageError` where a part of a model has another implementation than the one that was asked for."""
    from transformers import PreTrainedModel

    parts = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    used = {type(part).__name__: part.config._attn_implementation for part in parts}
    if others := {name: kind for name, kind in used.items() if kind != attention}:
        name, kind = next(iter(others.items()))
        raise UsageError(f"--attn {attention} is not available here: {name} would take {kind}; choose another")


def packages(attention: str) -> dict[str, str]:
    """Returns the versions of the packages that an implementation computes with, beside torch."""
    package = _FLASH_PACKAGES.get(attention, "").partition(".")[0]
    try:
        return {package: version(package.replace("_", "-"))} if package else {}
    except PackageNotFoundError:  # built from source
        return {package: "unknown"}


@contextmanager
def told(attention: str) -> Iterator[None]:
    """Turns what transformers says of an implementation into a `UsageError`."""
    check_name(attention)
    try:
        yield
    except (ImportError, ValueError, ModelError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        if "attention" not in reason.lower() and "attn" not in reason:
            raise
        raise UsageError(
            f"--attn {attention} is not available here: {reason.rstrip('.:')}; choose another, such as sdpa"
        ) from error


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False
