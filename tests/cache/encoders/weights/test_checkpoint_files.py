"""What lies in a directory in place of whole weights is named, with what to do."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights import checkpoint_files, model_files
from foresight_cache.errors import ModelError

FLOAT = LoadOptions(dtype="float32", device="cpu")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1539952\n"


def pointer(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).write_text(POINTER) and None


def adapter(path: Path) -> None:
    (path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "lab/base"}))
    save_file(
        {"base_model.model.q.lora_A.weight": load_file(path / "model.safetensors")["lm_head.weight"][:2].clone()},
        path / "adapter_model.safetensors",
    )


def adapter_alone(path: Path) -> None:
    adapter(path)
    (path / "model.safetensors").unlink()


def adapter_and_no_configuration(path: Path) -> None:
    adapter_alone(path)
    (path / "config.json").unlink()


def cut(path: Path) -> None:
    data = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(data[: len(data) // 2])


def cut_in_the_header(path: Path) -> None:
    (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:100])


def empty(path: Path) -> None:
    (path / "model.safetensors").write_bytes(b"")


def web_page(path: Path) -> None:
    (path / "model.safetensors").write_text("<!doctype html><title>Sign in</title>" * 9)


def other_form(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        (path / "model.safetensors").rename(path / name)

    return change


def index(path: Path, content: object) -> None:
    (path / "model.safetensors").rename(path / "model-00001-of-00002.safetensors")
    (path / "model.safetensors.index.json").write_text(json.dumps(content))


def part_is_absent(path: Path) -> None:
    index(path, {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})


def no_index(path: Path) -> None:
    index(path, {"files": []})


def outside(path: Path) -> None:
    index(path, {"weight_map": {"a": "../model.safetensors"}})


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pointer": (
        pointer("model.safetensors"),
        r"copy/model\.safetensors is not the weights but a pointer of git-lfs \(13",
    ),
    "pointer of a tokenizer": (pointer("tokenizer.json"), r"tokenizer\.json is not the file but a pointer of git-lfs"),
    "pointer of a configuration": (
        pointer("config.json"),
        r"copy/config\.json is not the file but a pointer of git-lfs",
    ),
    "adapter beside weights": (
        adapter,
        r"holds an adapter \(adapter_config\.json\) beside the weights, .* package peft",
    ),
    "adapter alone": (adapter_alone, r"holds an adapter of lab/base \(adapter_config\.json\) and no model; merge it"),
    "bare adapter": (adapter_and_no_configuration, r"holds an adapter of lab/base .* and no model; merge it"),
    "cut short": (
        cut,
        r"model\.safetensors cannot be read .*: it is cut short, [\d,]+ of [\d,]+ bytes are there; download",
    ),
    "cut in the header": (cut_in_the_header, r"it is cut short or no such file \(100 bytes\); download it again"),
    "empty": (empty, r"it has 0 bytes; download it again"),
    "web page": (web_page, r"it begins like a web page or a text \(\d+ bytes\); download it again"),
    "pickle": (other_form("pytorch_model.bin"), r"but pytorch_model\.bin, PyTorch's pickle format; .* can run code"),
    "llama.cpp": (other_form("model-Q4.gguf"), r"but model-Q4\.gguf, the format of llama\.cpp"),
    "another name": (
        other_form("weights.safetensors"),
        r"has weights in weights\.safetensors, but neither model\.safetens",
    ),
    "absent part": (part_is_absent, r"lacks 1 of the 2 files of weights .*, such as model-00002-of-00002\.safetensors"),
    "damaged index": (
        no_index,
        r"index\.json is no list of files of weights: KeyError\('weight_map'\); download it again",
    ),
    "index to elsewhere": (outside, r"names '\.\./model\.safetensors', expected files beside it"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_names_the_file_and_what_to_do(copy: Path, case: str) -> None:
    change, told = CASES[case]
    change(copy)
    with pytest.raises(ModelError, match=told) as caught:
        encoders.load(str(copy), FLOAT)
    assert "\n" not in str(caught.value)


def test_random_weights_need_none_and_no_adapter_is_put_onto_them(copy: Path) -> None:
    adapter(copy)
    (copy / "model.safetensors").write_text(POINTER)
    assert encoders.load(f"random:{copy}", FLOAT, ["vit.block_01"]).identity()["weights"] == "random"


def test_files_that_are_not_loaded_are_no_part_of_the_digest(copy: Path) -> None:
    """Some publishers put the same weights into a second file, for another program."""
    before = model_files.weights_digest(copy)
    save_file(load_file(copy / "model.safetensors"), copy / "consolidated.safetensors")
    assert model_files.weights_digest(copy) == before
    assert [file.name for file in checkpoint_files.weight_files(copy)] == ["model.safetensors"]


def test_headers_tell_shapes_and_number_types(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    stored = checkpoint_files.check_weights(copy)
    assert {name: tensor.shape for name, tensor in stored.items()} == {n: tuple(t.shape) for n, t in tensors.items()}
    assert {tensor.kind for tensor in stored.values()} == {"F32"}


def test_messages_have_no_full_stop(copy: Path) -> None:
    for change, _ in CASES.values():
        assert change.__doc__ is None
    adapter(copy)
    with pytest.raises(ModelError) as caught:
        encoders.load(str(copy), FLOAT)
    assert not re.search(r"\.$", str(caught.value))
