"""Attention is what was asked for: no part of a model takes another one, and no code is fetched for it."""

from typing import Any

import pytest

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.encoders.weights import attention
from foresight_cache.errors import UsageError

FOREIGN = "kernels-community/flash-attn2"


def loaded(kind: str) -> Any:
    return encoders.load("tiny:qwen2_5_vl", LoadOptions(device="cpu", attention=kind), ["vit.block_01"])


@pytest.mark.parametrize("kind", [FOREIGN, "somebody/attention@main:layer"])
def test_code_of_a_hub_is_never_run(kind: str) -> None:
    with pytest.raises(UsageError, match=f"--attn {kind} would run code from a hub, which is never done"):
        loaded(kind)


@pytest.mark.parametrize(
    ("kind", "package"),
    [
        ("flash_attention_2", "flash_attn"),
        ("flash_attention_3", "flash_attn_interface"),
        ("flash_attention_4", "flash_attn"),
    ],
)
def test_a_package_that_is_not_there_is_not_replaced(monkeypatch: pytest.MonkeyPatch, kind: str, package: str) -> None:
    """With the package kernels, transformers would fetch a kernel from the hub in its place."""
    monkeypatch.setattr(attention, "find_spec", lambda _name: None)
    with pytest.raises(
        UsageError, match=f"--attn {kind} is not available here: it needs the package {package}; choose"
    ):
        loaded(kind)


def test_a_part_that_takes_another_one_is_found(qwen: Family) -> None:
    """As transformers does, which falls back without an error where a part cannot have it."""
    visual = qwen.model.model.visual
    kept = visual.config._attn_implementation
    attention.check_used(qwen.model, kept)
    try:
        visual.config._attn_implementation = "eager"
        with pytest.raises(
            UsageError, match=r"--attn sdpa is not available here: Qwen2_5_\w+ would take eager; choose"
        ):
            attention.check_used(qwen.model, "sdpa")
    finally:
        visual.config._attn_implementation = kept


def test_the_version_of_a_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "version", lambda name: f"version of {name}")
    assert attention.packages("flash_attention_2") == {"flash_attn": "version of flash-attn"}
    assert attention.packages("sdpa") == {}
