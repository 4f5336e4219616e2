"""Operations that are counted from a configuration are those that torch counts in a forward pass."""

from typing import Any

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLConfig

from foresight_cache.encoders import Encoder, LoadOptions, describe, load, names
from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.errors import ModelError
from foresight_cache.extraction.planning.operations import OperationCount, described
from foresight_cache.samples import Grid

OPTIONS = LoadOptions(dtype="float32", device="cpu", attention="eager")
COUNTED = [name for name in names() if describe(f"tiny:{name}", OPTIONS).counts_operations]


@pytest.mark.parametrize(("family", "frames"), [*((name, 1) for name in COUNTED), ("qwen2_5_vl", 4), ("dinov2", 3)])
def test_they_are_those_of_torchs_counter(family: str, frames: int) -> None:
    """An image whose sides are no whole windows, and clips; the prompt's words are counted where they are run."""
    encoder: Any = load(f"tiny:{family}", OPTIONS)
    height, width = encoder.nearest_size(140, 196)
    frames_THWC = np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    inputs = encoder.preprocess([frames_THWC], "image" if frames == 1 else "clip")
    grids = {level: encoder.grid(level, frames, height, width) for level in ("patch", "merged")}
    words = inputs["input_ids"].shape[1] - grids["merged"].tokens if "input_ids" in inputs else 0
    own = OperationCount(encoder).up_to(grids, words=words)
    taps = [tap.name for tap in encoder.taps]
    assert list(own) == taps
    for tap in {taps[0], "vit.block_02", "vit.pre_merge", "vit.post_merge", "llm.layer_02"} & set(taps):
        with FlopCounterMode(display=False) as counter:
            encoder.forward(inputs, [tap])
        assert own[tap] == counter.get_total_flops(), tap


def test_the_studies_model_by_hand() -> None:
    """Of 448 × 448 pixels, with the widths that Qwen2.5-VL-7B is published with."""
    config = Qwen2_5_VLConfig(
        vision_config={
            **{"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584},
            **{"fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112, "patch_size": 14},
        },
        text_config={
            **{"hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944, "num_attention_heads": 28},
            **{"num_key_value_heads": 4, "vocab_size": 152064},
        },
    )
    own = OperationCount(Family(config, None, options=OPTIONS)).up_to(
        {"patch": Grid(1, 32, 32), "merged": Grid(1, 16, 16)}
    )
    patches, tokens = 1024, 256
    block = 4 * 1280**2 + 3 * 1280 * 3420
    windows, full = 28 * 4 * 1280 * patches * 64, 4 * 4 * 1280 * patches**2
    tower = 2 * 3 * 2 * 14 * 14 * 1280 * patches + 2 * 32 * block * patches + windows + full
    assert own["vit.pre_merge"] == tower
    merger = 2 * (5120 * 5120 + 5120 * 3584) * tokens
    assert own["vit.post_merge"] == own["llm.embed"] == tower + merger
    layer = 2 * (2 * 3584**2 + 2 * 3584 * 512 + 3 * 3584 * 18944) * tokens + 4 * 3584 * tokens**2
    assert own["llm.layer_14"] == tower + merger + 14 * layer
    assert own["llm.final_norm"] == own["llm.layer_28"] == tower + merger + 28 * layer
    assert (tower + merger) / 1e12 == pytest.approx(1.35, abs=0.01)


@pytest.mark.parametrize("family", sorted(set(names()) - set(COUNTED)))
def test_other_families_are_refused_by_name(family: str) -> None:
    with pytest.raises(ModelError, match=f"operations of the family {family} are not counted"):
        OperationCount(describe(f"tiny:{family}", OPTIONS))


def test_what_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experts of a mixture hold their weights themselves."""
    monkeypatch.setattr(Encoder, "counts_operations", True)
    with pytest.raises(ModelError, match=r"mlp.experts, a Qwen3VLMoeTextExperts, are not counted"):
        OperationCount(describe("tiny:qwen3_vl_moe", OPTIONS))


def test_no_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(ModelError, match="the configuration of org/model is not on this machine"):
        described("org/model")
    assert described("tiny:dinov2").family == "dinov2"
