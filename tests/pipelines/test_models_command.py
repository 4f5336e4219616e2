"""`foresight models`, and models that are no Qwen through the commands."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import UsageError
from tests.support.command import foresight, said

DOCUMENTATION = Path(__file__).parents[2] / "docs/models.md"


@pytest.fixture(scope="module")
def seven_billion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of Qwen2.5-VL-7B, and nothing else."""
    from transformers import Qwen2_5_VLConfig

    path = tmp_path_factory.mktemp("models") / "Qwen2.5-VL-7B-Instruct"
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
    text = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28}
    Qwen2_5_VLConfig(vision_config=vision, text_config=text).save_pretrained(path)
    return path


def test_models_lists_every_family_with_its_taps() -> None:
    run = foresight("models", "--json")
    assert run.returncode == 0, run.stderr
    rows = {row["family"]: row for row in json.loads(run.stdout)}
    assert tuple(rows) == encoders.names()
    assert rows["siglip"]["taps"] == ["vit.patch_embed", "vit.block_KK", "vit.pre_merge", "vit.final_norm"]
    assert rows["qwen3_vl"]["taps"][-3:] == ["llm.embed", "llm.layer_KK", "llm.final_norm"]
    assert rows["llava_next"]["media"] == ["image"]
    text = foresight("models").stdout
    assert all(family in text for family in encoders.names())


def test_the_documentation_has_the_table_of_this_version() -> None:
    table = foresight("models", "--table").stdout
    assert len(table.splitlines()) == 2 + len(encoders.names())
    assert "| `paligemma` | `PaliGemmaForConditionalGeneration` | images | the tower's, such as 224 | yes |" in table
    assert table in DOCUMENTATION.read_text(encoding="utf-8"), "put what `foresight models --table` prints there"


def test_sizes_in_the_table_are_those_of_the_families() -> None:
    for name in encoders.names():
        encoder = encoders.describe(f"tiny:{name}", LoadOptions(device="cpu"))
        numbers = re.findall(r"multiples of (\d+)", encoder.sizes)
        assert numbers in ([], [str(encoder.patch_multiple)]), name


def test_show_knows_the_seven_billion_from_its_configuration(seven_billion: Path) -> None:
    shown = json.loads(foresight("models", "show", seven_billion, "--json").stdout)
    taps = {row["tap"]: row for row in shown["taps"]}
    assert len(taps) == 1 + 32 + 2 + 1 + 28 + 1
    assert taps["vit.block_08"] == {
        **{"tap": "vit.block_08", "level": "patch", "grid": [1, 32, 32], "width": 1280, "class_token": False},
        **{"bytes_per_sample": 32 * 32 * 1280 * 2, "aliases": ["E2"]},
    }
    assert taps["vit.post_merge"]["grid"] == [1, 16, 16]
    assert taps["vit.post_merge"]["width"] == taps["llm.layer_28"]["width"] == 3584
    named = {alias: tap for tap, row in taps.items() for alias in row["aliases"]}
    assert [named[f"E{number}"] for number in (1, 3, 4, 5, 6, 7, 8)] == [
        *("vit.patch_embed", "vit.block_16", "vit.pre_merge", "vit.post_merge"),
        *("llm.layer_01", "llm.layer_14", "llm.layer_28"),
    ]


def test_show_takes_a_size(seven_billion: Path) -> None:
    text = foresight("models", "show", seven_billion, "--size", "448x672", "--dtype", "float32").stdout
    lines = {line.split()[0]: line for line in text.splitlines()[2:]}
    assert lines["vit.pre_merge"].split("  ")[1:] != []
    assert "1 × 32 × 48" in lines["vit.pre_merge"]
    assert "1 × 16 × 24" in lines["llm.layer_14"]
    assert "5.5 MB" in lines["llm.layer_14"]  # 384 · 3584 · 4 bytes
    assert lines["llm.layer_14"].endswith("E7 halp:13 latentlens:14")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny:llava_next", "--size", "448"), "takes 70 × 70 pixels and no other size; use --size 70"),
        (("tiny:internvl", "--size", "100x112"), "takes 112 × 112 pixels and no other size; use --size 112"),
        (("tiny:dinov2", "--size", "100"), "must be multiples of 14 pixels .* the nearest size is 98 × 98"),
        (("tiny:dinov2", "--size", "native"), "with native sizes every input has a grid of its own"),
        (("tiny:dinov3",), "unknown model family 'dinov3'; did you mean 'dinov2'"),
        (("random:",), "no model was named"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    assert re.search(message, said("models", "show", *arguments, status=2))


def test_real_dinov2_features_are_those_of_transformers(assets: Path, tmp_path: Path) -> None:
    """Real weights and photographs, from `prepare` to the cache, in float32."""
    from transformers import AutoImageProcessor, AutoModel

    model = assets / "models/dinov2-small-saliency"
    assert foresight("prepare", "coco", "--root", assets / "data/coco", "--out", tmp_path / "S").returncode == 0
    run = foresight(
        *("extract", tmp_path / "S", "--model", model, "--points", "vit.*,vit.final_norm@cls,vit.block_09@mean"),
        *("--out", tmp_path / "C", "--size", "224x280", "--dtype", "float32"),
    )
    assert run.returncode == 0, run.stderr
    cache = open_cache(tmp_path / "C")
    processor, reference = AutoImageProcessor.from_pretrained(model), AutoModel.from_pretrained(model).float().eval()
    for index in range(len(cache)):
        image = cache["pixels"].grid(index)[0].astype(np.uint8)
        pixels = processor(image, do_resize=False, do_center_crop=False, return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            outputs = reference(pixels, output_hidden_states=True)
        assert cache["vit.block_09"].grid(index).shape == (1, 16, 20, 384)
        expected = {f"vit.block_{k:02d}": state[0, 1:] for k, state in enumerate(outputs.hidden_states) if k}
        expected["vit.final_norm"] = outputs.last_hidden_state[0, 1:]
        expected["vit.final_norm@cls"] = outputs.pooler_output
        for point, tokens in expected.items():
            assert np.abs(cache[point][index] - tokens.numpy()).max() < 1e-5, f"{point} of sample {index}"
    assert cache.fingerprint["model"]["weights"] == "pretrained"


def test_a_random_twin_of_a_real_model(assets: Path) -> None:
    options = LoadOptions(dtype="float32", device="cpu")
    twin = encoders.load(f"random:{assets / 'models/dinov2-small-saliency'}", options, ["vit.block_02"])
    identity = twin.identity()
    assert identity["name"] == "random:dinov2-small-saliency"
    assert (identity["weights"], identity["seed"]) == ("random", 0)
    assert [tap.width for tap in twin.taps] == [384] * 15


@pytest.mark.parametrize("attention", ["flash_attention_2", "sdpaa"])
def test_attention_that_is_not_there_is_one_sentence(assets: Path, attention: str) -> None:
    options = LoadOptions(device="cpu", attention=attention)
    with pytest.raises(UsageError, match=f"--attn {attention} is not available here: .*; choose another"):
        encoders.load(str(assets / "models/dinov2-small-saliency"), options)


def test_attention_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    assert foresight("prepare", "shapes", "--limit", 2, "--out", tmp_path / "S").returncode == 0
    words = ("extract", tmp_path / "S", "--model", "tiny:clip", "--points", "E4", "--size", "112")
    assert foresight(*words, "--out", tmp_path / "C", "--attn", "eager").returncode == 0
    assert open_cache(tmp_path / "C").fingerprint["model"]["attention"] == "eager"
    other = said(*words, "--out", tmp_path / "C", status=1)
    assert "model.attention is 'eager' in the cache and 'sdpa' here" in other
    missing = said(*words, "--out", tmp_path / "D", "--attn", "flash_attention_2", status=2)
    assert "--attn flash_attention_2 is not available here" in missing
    unknown = said(*words, "--out", tmp_path / "D", "--attn", "sdpaa", status=2)
    assert "--attn sdpaa is not available here" in unknown
