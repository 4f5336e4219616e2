"""Controls for Qwen2.5-VL, the family with windows: without one correction, these proofs fail and no other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.capture import order
from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.samples import Grid
from tests.support.order_proofs import PROOFS, make
from tests.support.references import qwen_base as reference


def leave_merge_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    def raster(grids: list[Grid], merge: int) -> torch.Tensor:
        return torch.arange(sum(grid.tokens for grid in grids))

    monkeypatch.setattr(order, "merge_group_order", raster)


def leave_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_order(self: Family, grids: list[Grid]) -> torch.Tensor:
        return torch.arange(sum(grid.tokens for grid in grids) // 4)

    monkeypatch.setattr(Family, "window_units", in_order)


def apply_windows_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "inverse", lambda permutation: permutation)


def leave(*taps: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Tokens of these taps as a plain forward hook returns them."""

    def change(monkeypatch: pytest.MonkeyPatch) -> None:
        correct = Family.vision_tokens

        def plain(self: Family, tap: Tap, hidden: Any, inputs: Any) -> Any:
            samples = correct(self, tap, hidden, inputs)
            return list(hidden.split([len(sample) for sample in samples])) if tap.name in taps else samples

        monkeypatch.setattr(Family, "vision_tokens", plain)

    return change


MISTAKES = {
    "merge groups left": (leave_merge_groups, {"patch embedding", "merger", "tower", "windowed tower"}),
    "windows left": (leave_windows, {"merger", "tower", "windowed tower"}),
    "permuted instead of restored": (apply_windows_again, {"patch embedding", "merger", "tower", "windowed tower"}),
    "patch embedding as hooked": (leave("vit.patch_embed"), {"patch embedding", "tower", "windowed tower"}),
    "pre-merge as hooked": (leave("vit.pre_merge"), {"merger", "tower", "windowed tower"}),
    "post-merge as hooked": (leave("vit.post_merge"), {"merger", "tower", "windowed tower"}),
    "a block as hooked": (leave("vit.block_03"), {"tower", "windowed tower"}),
}


@pytest.mark.parametrize("batch", ["mixed sizes", "mixed clips"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_missing_correction_fails_its_proofs(
    qwen: Family, monkeypatch: pytest.MonkeyPatch, mistake: str, batch: str
) -> None:
    break_it, expected = MISTAKES[mistake]
    break_it(monkeypatch)
    clips, media = make(qwen, batch)
    failed = set()
    for name, proof in PROOFS.items():
        try:
            proof(qwen, reference, clips, media)  # type: ignore[arg-type]
        except AssertionError:
            failed.add(name)
    assert failed == expected


def test_a_last_layer_taken_after_the_norm_fails_its_proof(qwen: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    taps = [replace(tap, module="language_model.norm") if tap.name == "llm.layer_04" else tap for tap in qwen.taps]
    monkeypatch.setattr(qwen, "taps", tuple(taps))
    with pytest.raises(AssertionError, match="after the norm"):
        PROOFS["language model"](qwen, reference, *make(qwen, "square"))  # type: ignore[arg-type]
