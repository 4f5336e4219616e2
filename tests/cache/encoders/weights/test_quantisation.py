"""Quantised checkpoints say by which scheme, and what they need, before anything is loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights import quantisation
from foresight_cache.errors import ModelError

FLOAT = LoadOptions(dtype="float32", device="cpu")
SCHEMES: dict[str, tuple[dict[str, Any], str]] = {
    "awq": ({"quant_method": "awq", "bits": 4, "version": "gemm"}, "AWQ, 4 bits, which needs the package"),
    "gptq": ({"quant_method": "gptq", "bits": 4, "sym": True}, "GPTQ, 4 bits, which needs the package"),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes, 4 bits, which needs the"),
    "bitsandbytes of 8 bits, unnamed": ({"load_in_8bit": True}, "bitsandbytes, 8 bits, which needs the package"),
    "fp8": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "FP8 in blocks, which needs the package"),
    "compressed-tensors": ({"quant_method": "compressed-tensors"}, "compressed-tensors, which needs the package"),
    "unknown": ({"quant_method": "ternary"}, "ternary, which is not supported; name the unquantised model"),
}


def write(path: Path, field: str, settings: dict[str, Any], section: str | None = None) -> None:
    config = json.loads((path / "config.json").read_text())
    (config[section] if section else config)[field] = settings
    (path / "config.json").write_text(json.dumps(config))


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisation, "find_spec", lambda _name: None)


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize("section", [None, "text_config"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_is_named_with_what_it_needs(copy: Path, scheme: str, section: str | None) -> None:
    settings, told = SCHEMES[scheme]
    write(copy, "quantization_config", settings, section)
    with pytest.raises(ModelError) as caught:
        encoders.load(str(copy), FLOAT, ["vit.block_01"])
    assert str(caught.value).startswith(f"the weights of {copy} are quantised by {told}")
    described = encoders.describe(str(copy), FLOAT)
    assert described.hindrance
    assert told in described.hindrance


@pytest.mark.parametrize("field", ["quantization", "quantization_config"])
def test_weights_that_mlx_packed(copy: Path, field: str) -> None:
    """Its programs write the same settings under both names, of which only one is its own."""
    write(copy, "quantization", {"group_size": 32, "bits": 4})
    write(copy, field, {"group_size": 32, "bits": 4})
    with pytest.raises(
        ModelError, match="quantised by MLX, 4 bits, which is not supported; name the unquantised model"
    ):
        encoders.load(str(copy), FLOAT)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_random_weights_have_the_unquantised_architecture(copy: Path, saved: Path, scheme: str) -> None:
    write(copy, "quantization_config", SCHEMES[scheme][0])
    quantised, plain = (encoders.load(f"random:{path}", FLOAT, ["vit.block_01"]) for path in (copy, saved))
    assert encoders.describe(f"random:{copy}", FLOAT).hindrance is None
    differing = {name for name, value in plain.identity().items() if value != quantised.identity()[name]}
    assert differing == {"name"}


def test_a_library_that_is_there_and_refuses_is_quoted(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisation, "find_spec", lambda _name: object())
    monkeypatch.setattr(quantisation, "_refusal", lambda _settings: "No GPU found")
    write(copy, "quantization_config", SCHEMES["awq"][0])
    with pytest.raises(ModelError, match=r"AWQ, 4 bits, which cannot be loaded here \(No GPU found\); name the"):
        encoders.load(str(copy), FLOAT)


def test_what_transformers_refuses_is_one_line() -> None:
    """Asked without its packages, which are no part of this product."""
    refused = quantisation._refusal({"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert refused is None or ("\n" not in refused and 0 < len(refused) <= 200)


def test_what_a_fingerprint_says() -> None:
    assert quantisation.identity(None) is None
    said = quantisation.identity({"quant_method": "torchao"})
    assert said is not None
    assert said["scheme"] == "torchao"
    assert set(said) == {"scheme", "torchao", "accelerate"}


BLOCK = 128


def in_blocks(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A matrix as FP8 with a scale for each block, the scales, and the numbers that these are in float32."""
    rows, columns = (-(-side // BLOCK) for side in weight.shape)
    scales = torch.zeros(rows, columns)
    packed = torch.zeros(weight.shape, dtype=torch.float8_e4m3fn)
    plain = torch.zeros(weight.shape)
    for row in range(rows):
        for column in range(columns):
            block = slice(row * BLOCK, (row + 1) * BLOCK), slice(column * BLOCK, (column + 1) * BLOCK)
            scales[row, column] = scale = weight[block].abs().max() / 448
            packed[block] = (weight[block] / scale).to(torch.float8_e4m3fn)
            plain[block] = packed[block].float() * scale
    return packed, scales, plain


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_numbers_of_fp8_are_those_of_its_weights_and_scales(copy: Path, tmp_path: Path, dtype: str) -> None:
    """Without a GPU transformers makes plain numbers of them, and leaves them in the type of the scales."""
    plain, packed = dict(load_file(copy / "model.safetensors")), {}
    for name, weight in list(plain.items()):
        if ".layers." in name and name.endswith("proj.weight"):
            packed[name], packed[f"{name}_scale_inv"], plain[name] = in_blocks(weight.float())
        else:
            packed[name] = weight
    shutil.copytree(copy, tmp_path / "packed")
    save_file(plain, copy / "model.safetensors", {"format": "pt"})
    save_file(packed, tmp_path / "packed" / "model.safetensors", {"format": "pt"})
    settings = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK], "modules_to_not_convert": ["visual"]}
    write(tmp_path / "packed", "quantization_config", settings)
    options = LoadOptions(dtype=dtype, device="cpu")
    pair = [encoders.load(str(path), options, ["llm.final_norm"]) for path in (copy, tmp_path / "packed")]
    picture = np.random.default_rng(0).integers(0, 256, (1, 56, 56, 3), np.uint8)
    one, other = (each.forward(each.preprocess([picture], "image"), ["llm.final_norm"]) for each in pair)
    torch.testing.assert_close(other["llm.final_norm"], one["llm.final_norm"], rtol=0, atol=0)
    assert pair[1].identity()["quantisation"]["scheme"] == "FP8 in blocks"
