"""Numbers of layers as two papers count them, against what the models themselves return and hooks on their layers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import ManifestError, UnknownName, UsageError
from foresight_cache.points import numbered_layers, resolve
from foresight_probes.studies.located import Located
from foresight_probes.studies.point_texts import parse_point
from pipelines import completion
from tests.support import planted
from tests.support.command import foresight

SEVEN_BILLION = [
    *("vit.patch_embed", *(f"vit.block_{number:02d}" for number in range(1, 33)), "vit.pre_merge", "vit.post_merge"),
    *("llm.embed", *(f"llm.layer_{number:02d}" for number in range(1, 29)), "llm.final_norm"),
]
"""Taps of Qwen2.5-VL-7B."""


def named(text: str, taps: list[str] = SEVEN_BILLION) -> list[str]:
    return [str(point) for point in resolve([text], taps)]


def test_27_of_one_paper_is_not_27_of_the_other() -> None:
    assert named("halp:27") == ["llm.layer_28"]
    assert named("latentlens:27") == ["llm.layer_27"]
    assert [named(f"halp:{number}@last_query") for number in (0, 7, 14, 21)] == [
        [f"llm.layer_{number:02d}@last_query"] for number in (1, 8, 15, 22)
    ]
    assert named("latentlens:0") == ["llm.embed"]
    assert named("latentlens:1") == ["llm.layer_01"]
    assert named("latentlens:28") == ["llm.final_norm"]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen2_vl", "qwen3_vl"])
def test_they_are_the_models_own_numbers(family: str) -> None:
    encoder: Any = encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu"))
    side = 4 * encoder.patch_multiple
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    inputs = encoder.preprocess([picture], "image", ["What is this?"])
    taps = [tap.name for tap in encoder.taps]
    numbers = numbered_layers(taps)
    found = encoder.forward(inputs, [f"{tap}@text" for tap in dict.fromkeys(numbers.values())])
    own = {name: value for name, value in inputs.items() if name not in encoder.kept_on_host}
    decoder = encoder.model.model.language_model
    layers: list[torch.Tensor] = []
    for layer in decoder.layers:
        layer.register_forward_hook(lambda _module, _args, output: layers.append(output))
    with torch.no_grad():
        states = encoder.model(**own, output_hidden_states=True, use_cache=False).hidden_states
    assert len(layers) == len(states) - 1
    expected = {f"halp:{number}": output for number, output in enumerate(layers)}
    expected |= {f"latentlens:{number}": state for number, state in enumerate(states)}
    assert numbers.keys() == expected.keys()
    for text, tap in numbers.items():
        tokens = found[f"{tap}@text"][0]
        assert_close(tokens, expected[text].reshape(-1, tokens.shape[1])[-len(tokens) :], rtol=1e-4, atol=1e-4)
    last = f"latentlens:{len(layers)}"
    assert_close(expected[last], decoder.norm(layers[-1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "halp:28",
            "halp:28 names no point of this model: HALP counts decoder layers from 0, llm.layer_01 to llm.layer_28, "
            "so expected halp:0 to halp:27",
        ),
        (
            "latentlens:29",
            "latentlens:29 names no point of this model: LatentLens counts hidden states, from what enters the first "
            "layer to what leaves the final norm, so expected latentlens:0 to latentlens:28",
        ),
        ("halp:-1", "halp:-1 names no point of this model"),
        ("halp:", "halp: names no point of this model"),
        ("latentlens:last@mean", "latentlens:last names no point of this model"),
    ],
)
def test_a_number_that_does_not_exist(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        named(text)
    assert str(caught.value).startswith(sentence)


def test_a_model_without_language_layers_has_none() -> None:
    with pytest.raises(UsageError, match=r"^halp:0 names no point: this model has no language layers$"):
        named("halp:0", ["vit.patch_embed", "vit.block_01"])
    with pytest.raises(UnknownName, match="unknown extraction point 'halb:0'"):
        named("halb:0")


def test_taps_that_are_only_some_of_a_model_keep_their_numbers() -> None:
    some = ["llm.layer_07", "llm.layer_14", "llm.final_norm"]
    assert numbered_layers(some) == {
        **{"halp:6": "llm.layer_07", "halp:13": "llm.layer_14"},
        **{"latentlens:7": "llm.layer_07", "latentlens:14": "llm.final_norm"},
    }


def test_they_are_shown_and_offered(tmp_path: Path) -> None:
    lines = {line.split()[0]: line for line in foresight("models", "show", "tiny:qwen2_5_vl").stdout.splitlines()[2:]}
    layers = sum(name.startswith("llm.layer_") for name in lines)
    assert lines["llm.layer_01"].endswith("halp:0 latentlens:1")
    assert lines["llm.final_norm"].endswith(f" latentlens:{layers}")
    assert "latentlens:" not in lines[f"llm.layer_{layers:02d}"]
    assert completion.complete_points("E4,lat") == ["E4,latentlens", "E4,latentlens-text", "E4,latentlens:"]
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    line: Any = SimpleNamespace(params={"cache": str(tmp_path / "C")}, args=())
    offered = completion.complete_cached_points(line, "halp:")
    assert offered
    assert [named(text, planted.TAPS)[0] for text in offered] == [tap for tap in planted.TAPS if "llm.layer_" in tap]


def test_a_study_may_name_them() -> None:
    assert parse_point(Located("halp:21@last_query", (), "mine.yaml", {})) == "halp:21@last_query"
    with pytest.raises(ManifestError, match="unknown point 'halb:21'"):
        parse_point(Located("halb:21", (), "mine.yaml", {}))
