"""Controls: without one correction, these proofs fail and no other. The windows are in `test_window_controls`."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions, Tap, gemma3, llava_next_video, paligemma
from foresight_cache.encoders.bases import language
from foresight_cache.encoders.bases.single_view import SingleViewEncoder
from foresight_cache.encoders.bases.towers import Tower
from foresight_cache.encoders.capture import order
from foresight_cache.samples import Grid
from tests.support.order_proofs import PROOFS, make
from tests.support.references import reference_of


def leave_merge_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    def raster(grids: list[Grid], merge: int) -> torch.Tensor:
        return torch.arange(sum(grid.tokens for grid in grids))

    monkeypatch.setattr(order, "merge_group_order", raster)


def leave_class_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns as many tokens as there are patches, from the first one on."""

    def from_the_first(tap: Tap, hidden: torch.Tensor, frames: Sequence[int]) -> list[torch.Tensor]:
        hidden = hidden.flatten(2).transpose(1, 2) if hidden.dim() == 4 else hidden
        tokens = hidden[:, : hidden.shape[1] - tap.leading - tap.trailing]
        return [part.flatten(0, 1) for part in tokens.split(list(frames))]

    monkeypatch.setattr(Tower, "raster_tokens", staticmethod(from_the_first))


def take_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns as many tokens as there are patches, up to the last one."""

    def to_the_last(tap: Tap, hidden: torch.Tensor, frames: Sequence[int]) -> list[torch.Tensor]:
        return [part.flatten(0, 1) for part in hidden[:, tap.leading + tap.trailing :].split(list(frames))]

    monkeypatch.setattr(Tower, "raster_tokens", staticmethod(to_the_last))


def take_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visual tokens are what follows the first one, as if no text stood between them."""

    def run(visual: torch.Tensor, counts: Sequence[int], *_: Any) -> torch.Tensor:
        starts = visual.int().argmax(dim=1) + torch.arange(len(visual)) * visual.shape[1]
        return torch.cat([start + torch.arange(count) for start, count in zip(starts, counts, strict=True)])

    monkeypatch.setattr(language, "visual_positions", run)


def begin_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visual tokens are the first of the sequence."""

    def first(visual: torch.Tensor, counts: Sequence[int], *_: Any) -> torch.Tensor:
        return torch.cat([torch.arange(count) + number * visual.shape[1] for number, count in enumerate(counts)])

    monkeypatch.setattr(language, "visual_positions", first)


def look_back_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens see what stands before them and nothing else."""
    for module in (gemma3, paligemma):
        monkeypatch.setattr(module.Family, "token_types", SingleViewEncoder.token_types)


def pool_columns_for_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patches of a frame are pooled as if they stood column by column, and are given back so."""
    correct = llava_next_video.Family._pooled

    def exchanged(self: Any, frames_TND: torch.Tensor) -> torch.Tensor:
        pooled = correct(self, frames_TND)
        side = round(pooled.shape[1] ** 0.5)
        return pooled.unflatten(1, (side, side)).transpose(1, 2).flatten(1, 2)

    monkeypatch.setattr(llava_next_video.Family, "_pooled", exchanged)


def cut_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands after the last visual token."""
    monkeypatch.setattr(paligemma.Family, "sees_prompt", False)


GROUPED = {"patch embedding", "merger", "tower", "windowed tower"}
TOWER = {"tower", "windowed tower"}
MISTAKES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, dict[str, set[str]]]] = {
    "merge groups left": (
        leave_merge_groups,
        "mixed sizes",
        {"qwen2_vl": GROUPED, "qwen3_vl": GROUPED, "qwen3_vl_moe": GROUPED},
    ),
    "class token left": (
        leave_class_token,
        "three of a size",
        {
            "clip": TOWER,
            "dinov2": TOWER,
            "dinov2_with_registers": TOWER,
            "dinov3_vit": TOWER,
            "yolos": TOWER,
            "owlvit": TOWER,
            "llava": TOWER,
            "llava_next": TOWER,
            "llava_next_video": {*TOWER, "merger"},
            "internvl": {*TOWER, "merger"},
        },
    ),
    "tokens behind the patches taken": (take_the_last, "three of a size", {"yolos": TOWER}),
    "one run of visual tokens": (
        take_one_run,
        "clip",
        {"qwen3_vl": {"language model"}, "internvl": {"language model"}, "qwen2_vl": set(), "llava_onevision": set()},
    ),
    "visual tokens from position 0": (
        begin_at_zero,
        "mixed sizes",
        {
            **{family: {"language model"} for family in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")},
            **{family: {"language model"} for family in ("llava", "llava_next", "llava_next_video")},
            **{family: {"language model"} for family in ("llava_onevision", "internvl")},
            **{family: {"language model"} for family in ("gemma3", "smolvlm", "molmo2")},
            "paligemma": set(),  # whose images begin its prompt
        },
    ),
    "attention that looks back only": (
        look_back_only,
        "square",
        {"gemma3": {"language model"}, "paligemma": set(), "llava": set()},  # PaliGemma's configuration says it as well
    ),
    "a pool of columns for rows": (pool_columns_for_rows, "clip", {"llava_next_video": {"merger", "language model"}}),
    "a prompt that is cut though it is seen": (cut_the_prompt, "square", {"paligemma": {"language model"}}),
}
"""Mistakes by name: how it is made, a batch, and per family the proofs that must fail."""


@pytest.mark.parametrize(
    ("mistake", "family"), [(mistake, family) for mistake, (_, _, families) in MISTAKES.items() for family in families]
)
def test_a_missing_correction_fails_its_proofs(mistake: str, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it, batch, expected = MISTAKES[mistake]
    encoder = encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu"))
    reference: Any = reference_of(type(encoder))
    break_it(monkeypatch)
    failed = set()
    for proof, prove in PROOFS.items():
        try:
            prove(encoder, reference, *make(encoder, batch))
        except AssertionError:
            failed.add(proof)
    assert failed == expected[family]
