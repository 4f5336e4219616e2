"""A model that is shared out over devices needs accelerate and one free hand; nothing else is loaded without it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights import loading, placement
from foresight_cache.errors import ForesightError, MissingExtra, UsageError
from tests.support.order_proofs import make, tokens

SHARED = LoadOptions(dtype="float32", device_map="auto")


@pytest.mark.parametrize("model", ["tiny:qwen2_5_vl", "random:{path}", "{path}"])
def test_without_accelerate_it_says_what_is_needed(saved: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda _name: None)
    monkeypatch.setattr(loading, "_loaded", None)
    with pytest.raises(MissingExtra) as caught:
        encoders.load(model.format(path=saved), SHARED)
    assert str(caught.value) == (
        "--device-map auto needs the package 'accelerate'; install it with: pip install 'foresight-cache[large]'"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (LoadOptions(device_map="auto", device="cpu"), "--device-map auto takes all devices, and --device cpu one"),
        (
            LoadOptions(device_map="auto", device="cpu:0"),
            "--device-map auto takes all devices, and --device cpu:0 one",
        ),
        (LoadOptions(device_map="auto", compiled=True), "which --compile cannot follow"),
    ],
)
def test_options_that_need_one_device(options: LoadOptions, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        encoders.load("tiny:clip", options)


def test_what_transformers_is_asked_for(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def loaded(*arguments: Any) -> None:
        seen.append(arguments[-1])
        raise ForesightError("enough")

    monkeypatch.setattr(placement, "find_spec", lambda _name: object())
    monkeypatch.setattr(loading, "_loaded", loaded)
    for options in (SHARED, LoadOptions(device="cpu")):
        with pytest.raises(ForesightError, match="enough"):
            encoders.load(str(saved), options)
    assert seen == [{"device_map": "auto"}, {}]
    at = placement.loading_arguments(torch.device("cpu"), shared_out=False, quantised=True)
    assert at == {"device_map": {"": "cpu"}}


@pytest.mark.parametrize("model", ["tiny:qwen2_5_vl", "tiny:llava_onevision"])
def test_a_model_in_two_places_gives_what_one_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str
) -> None:
    """The language model lies on the disk, and is brought in part by part."""
    from accelerate import cpu_offload, disk_offload

    def share_out(whole: Any) -> Any:
        cpu_offload(whole.model.language_model, execution_device=torch.device("cpu"))
        disk_offload(whole.model.multi_modal_projector if "llava" in model else whole.model.visual, tmp_path)
        return whole

    one = encoders.load(model, LoadOptions(dtype="float32", device="cpu"))
    monkeypatch.setattr(placement, "share_out", share_out)
    two = encoders.load(model, SHARED)
    clips, media = make(one, "three of a size")
    taps = ("vit.block_02", "vit.post_merge", "llm.layer_02", "llm.final_norm")
    for name, samples in tokens(one, clips, media, *taps).items():
        for expected, found in zip(samples, tokens(two, clips, media, *taps)[name], strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
