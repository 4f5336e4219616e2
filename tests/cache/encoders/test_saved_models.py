"""Models in a directory: the same features as in memory, their identity, and one sentence for each damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.encoders.weights import model_files
from foresight_cache.errors import ModelError
from tests.support.order_proofs import make, tokens

FLOAT = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def saved(qwen: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    qwen.model.save_pretrained(path)
    qwen.processor.save_pretrained(path)
    return path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_saved_model_gives_the_same_features(saved: Path, dtype: Any) -> None:
    options = LoadOptions(dtype=dtype, device="cpu")
    tiny, loaded = Family.load("tiny:qwen2_5_vl", options), encoders.load(str(saved), options)
    assert isinstance(loaded, Family)
    names = [tap.name for tap in tiny.taps]
    for batch in ("mixed sizes", "mixed clips"):
        clips, media = make(tiny, batch)
        expected, captured = tokens(tiny, clips, media, *names), tokens(loaded, clips, media, *names)
        assert_close(captured, expected, rtol=0, atol=0)


def test_identity_of_a_saved_model(qwen: Family, saved: Path) -> None:
    identity = Family.load(str(saved), FLOAT).identity()
    differing = {name for name, value in qwen.identity().items() if value != identity[name]}
    assert differing == {"name", "weights_digest"}
    assert identity["name"] == "tiny"
    assert identity["weights"] == "random"
    assert identity["weights_digest"] == model_files.weights_digest(saved)


def test_a_trained_model_is_said_to_be_pretrained(saved: Path, tmp_path: Path) -> None:
    path = shutil.copytree(saved, tmp_path / "trained")
    config = json.loads((path / "config.json").read_text())
    del config["random_weights_seed"]
    (path / "config.json").write_text(json.dumps(config))
    identity = Family.load(str(path), FLOAT).identity()
    assert (identity["weights"], identity["seed"]) == ("pretrained", None)


def test_prompt_and_processor_are_part_of_the_identity(qwen: Family) -> None:
    other = Family.load("tiny:qwen2_5_vl", LoadOptions(dtype="float32", device="cpu", prompt="What is this?"))
    assert other.identity()["prompt"] == "What is this?"
    other.processor.image_processor.image_mean = [0.5, 0.5, 0.5]
    assert other.identity()["image_processor"] != qwen.identity()["image_processor"]


def drop_weights(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def cut_weights(path: Path) -> None:
    data = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(data[: len(data) // 2])


def drop_tensors(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "merger" not in name}
    save_file(kept, path / "model.safetensors", {"format": "pt"})


def drop_template(path: Path) -> None:
    (path / "chat_template.jinja").unlink()


def break_template(path: Path) -> None:
    (path / "chat_template.jinja").write_text("{% for %}")


def drop_placeholder(path: Path) -> None:
    (path / "chat_template.jinja").write_text("{{ messages[0].role }}")


def drop_tokenizer(path: Path) -> None:
    (path / "tokenizer.json").unlink()
    (path / "tokenizer_config.json").unlink()


def drop_processor(path: Path) -> None:
    (path / "processor_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_weights, r"has no \*\.safetensors weights but .* convert the model to safetensors first"),
        (cut_weights, r"model\.safetensors cannot be read as safetensors weights: it is cut short"),
        (drop_tensors, "lack .* tensors of Qwen2_5_VLForConditionalGeneration, such as .*merger"),
        (drop_template, "chat template of this qwen2_5_vl cannot be used"),
        (break_template, "chat template of this qwen2_5_vl cannot be used"),
        (drop_placeholder, "has no image token 268: its tokenizer or its chat template is not the model's own"),
        (drop_tokenizer, "has no image token 268: its tokenizer or its chat template is not the model's own"),
        (drop_processor, "has no usable Qwen2_5_VLProcessor"),
    ],
)
def test_a_damaged_directory_is_one_sentence(
    saved: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    path = shutil.copytree(saved, tmp_path / "damaged")
    damage(path)
    with pytest.raises(ModelError, match=message) as caught:
        encoders.load(str(path), FLOAT)
    assert "\n" not in str(caught.value)


def test_another_tokenizer_is_another_identity(saved: Path, tmp_path: Path) -> None:
    """Two bytes that change places: the prompt has neither, and a question may."""
    path = shutil.copytree(saved, tmp_path / "other")
    stored = json.loads((path / "tokenizer.json").read_text())
    vocabulary = stored["model"]["vocab"]
    vocabulary["Q"], vocabulary["Z"] = vocabulary["Z"], vocabulary["Q"]
    (path / "tokenizer.json").write_text(json.dumps(stored))
    before, after = (encoders.load(str(each), FLOAT, ["vit.block_01"]) for each in (saved, path))
    old, new = before.identity(), after.identity()
    assert {name for name in old if old[name] != new[name]} == {"name", "tokenizer_digest"}
    after.preprocess([make(after, "one unit")[0][0]], "image", ["A question, padded"])
    assert after.identity() == new, "padding is a state of the tokenizer and no part of it"
