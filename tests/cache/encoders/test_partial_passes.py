"""A forward pass runs nothing that no tap needs, and leaves no hook behind."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from torch import nn

from foresight_cache.encoders.qwen2_5_vl import Family
from tests.support.order_proofs import make, tokens


@contextmanager
def forbidden(*modules: nn.Module) -> Iterator[None]:
    """Running any of these modules is an error."""

    def refuse(module: nn.Module, _args: object) -> None:
        raise AssertionError(f"{type(module).__name__} ran")

    handles = [module.register_forward_pre_hook(refuse) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_logits_are_never_computed(qwen: Family) -> None:
    with forbidden(qwen.model.lm_head):
        tokens(qwen, *make(qwen, "square"), *(tap.name for tap in qwen.taps))


def test_vision_taps_never_run_the_language_model(qwen: Family) -> None:
    language = qwen.model.model.language_model
    with forbidden(language, language.embed_tokens, *language.layers):
        tokens(qwen, *make(qwen, "square"), *(tap.name for tap in qwen.taps if tap.name.startswith("vit.")))


def test_a_forbidden_module_is_noticed(qwen: Family) -> None:
    with forbidden(qwen.model.model.language_model), pytest.raises(AssertionError, match="TextModel ran"):
        tokens(qwen, *make(qwen, "one unit"), "llm.embed")


@pytest.mark.parametrize(
    ("tap", "deeper"),
    [
        ("vit.patch_embed", "visual.blocks.0"),
        ("vit.block_03", "visual.blocks.3"),
        ("vit.pre_merge", "visual.merger"),
        ("vit.post_merge", "language_model"),
        ("llm.embed", "language_model.layers.0"),
        ("llm.layer_02", "language_model.layers.2"),
        ("llm.layer_04", "language_model.norm"),
    ],
)
def test_nothing_deeper_than_the_deepest_tap_runs(qwen: Family, tap: str, deeper: str) -> None:
    # Running the module's inside counts; the pre-hook that captures its input does not.
    inside = [part for part in qwen.model.model.get_submodule(deeper).modules() if not list(part.children())]
    with forbidden(*inside):
        tokens(qwen, *make(qwen, "one unit"), "vit.patch_embed", tap)


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hooks_are_gone_afterwards_also_after_an_error(qwen: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, media = make(qwen, "one unit")
    before = hooks(qwen.model)
    tokens(qwen, clips, media, "vit.block_01", "llm.layer_01")
    assert hooks(qwen.model) == before

    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(qwen.model.model.visual.blocks[2], "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        tokens(qwen, clips, media, "vit.block_01", "llm.layer_01")
    assert hooks(qwen.model) == before
