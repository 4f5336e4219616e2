"""An index against transformers' own hidden states, and runs that are killed against undisturbed ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import FingerprintMismatch, Interrupted, ModelError, TextIndexError, UsageError
from foresight_cache.runtime.work_share import WorkShare
from foresight_cache.text_index.corpus import read_corpus
from foresight_cache.text_index.indexing import Indexing, make_index, needed_taps
from foresight_cache.text_index.language_states import Vocabulary, hidden_states
from foresight_cache.text_index.options import IndexOptions, chosen_layers
from foresight_cache.text_index_files import open_index
from tests.support.killed_pairs import check_equals_undisturbed

FAMILIES = ("qwen2_5_vl", "qwen2_vl", "llava_onevision")
MANY = [f"the {number} red dogs" for number in range(24)]
"""Phrases of which each is a shard where a row is enough for one."""
PHRASES = ("a red dog", "a red cat", "the old house", "a red dog on grass", "blue", "a tree")


def load(family: str, dtype: Any = "float32") -> Any:
    return encoders.load(f"tiny:{family}", LoadOptions(dtype=dtype, device="cpu"))


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    torch.set_num_threads(1)
    return load(request.param)


def plan(folder: Path, out: Path, encoder: Any, phrases: Sequence[str] = PHRASES, **options: Any) -> Indexing:
    (folder / "corpus.txt").write_text("\n".join(phrases))
    usual: dict[str, Any] = {"layers": (0, 1, 2, 3), "contexts": 3, "rows_per_shard": 10, "batch_tokens": 24}
    return Indexing(read_corpus(folder / "corpus.txt"), encoder, IndexOptions(**{**usual, **options}), out)


def content(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, list[Any]]]:
    """Reads all shards by the libraries of their formats alone."""
    parts = [load_file(path) for path in sorted(folder.glob("shard-*.safetensors"))]
    tables = [pyarrow.parquet.read_table(path).to_pydict() for path in sorted(folder.glob("shard-*.parquet"))]
    tensors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return tensors, {name: [value for table in tables for value in table[name]] for name in tables[0]}


@torch.no_grad()
def test_rows_are_the_hidden_states_of_their_layer(tmp_path: Path, model: Any) -> None:
    """Layer K is `hidden_states[K]`, and neither the one before nor the one after it."""
    make_index(plan(tmp_path, tmp_path / "I", model))
    tensors, table = content(tmp_path / "I")
    assert sorted(tensors) == [f"layer_{number:02d}" for number in range(4)]
    assert set(table) == {"token", "token_id", "phrase", "position"}
    states: dict[str, Any] = {}
    for row, (phrase, position) in enumerate(zip(table["phrase"], table["position"], strict=True)):
        ids = model.processor.tokenizer(phrase)["input_ids"]
        assert table["token_id"][row] == ids[position]
        assert table["token"][row] == model.processor.tokenizer.decode([ids[position]])
        if phrase not in states:
            language = model.model.model.language_model
            states[phrase] = language(torch.tensor([ids]), output_hidden_states=True).hidden_states
        for layer in range(4):
            own = tensors[f"layer_{layer:02d}"][row].float()
            for other in range(5):
                near = torch.allclose(own, states[phrase][other][0, position], rtol=1e-2, atol=1e-2)
                assert near is (other == layer), (layer, other)


@torch.no_grad()
def test_the_last_of_hidden_states_is_after_the_norm_and_refused(model: Any) -> None:
    ids = model.processor.tokenizer("a red dog")["input_ids"]
    theirs = model.model.model.language_model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    ours = hidden_states(model, [ids], [0, 3, 4])
    assert torch.allclose(ours[0], theirs[0])
    assert torch.allclose(ours[3], theirs[3])
    assert not torch.allclose(ours[4], theirs[4], rtol=1e-2)
    assert torch.allclose(model.model.model.language_model.norm(ours[4]), theirs[4], atol=1e-5)
    for layer, told in {
        4: r"hidden_states\[4\] is after the final norm",
        5: "expected layers from 0",
        -1: "from 0",
    }.items():
        with pytest.raises(UsageError, match=told):
            chosen_layers((1, layer), 4)


@torch.no_grad()
def test_the_vocabulary_is_that_of_the_model(tmp_path: Path, model: Any) -> None:
    make_index(plan(tmp_path, tmp_path / "I", model, contexts=1))
    index = open_index(tmp_path / "I")
    shards = list(index.vocabulary)
    embedding, head = (torch.cat([shard.tensor(name) for shard in shards]) for name in ("embedding", "head"))
    assert torch.equal(embedding, model.model.model.language_model.embed_tokens.weight)
    assert torch.equal(head, model.model.lm_head.weight)
    factors_D, epsilon = index.final_norm
    states = torch.randn(5, index.width)
    expected = model.model.model.language_model.norm(states)
    found = states * (states.square().mean(-1, keepdim=True) + epsilon).rsqrt() * factors_D
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_norm_of_another_kind_is_refused() -> None:
    encoder = load("qwen2_5_vl")
    encoder.model.model.language_model.norm = torch.nn.LayerNorm(128)
    with pytest.raises(ModelError, match="no root-mean-square norm; use --vocabulary none"):
        Vocabulary(encoder).final_norm()
    norm = encoder.model.model.language_model.norm = load("gemma3").model.model.language_model.norm
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-0.5, 2, 128))  # Gemma multiplies by 1 + weight
    assert torch.allclose(Vocabulary(encoder).final_norm(), 1 + norm.weight, atol=1e-5)


def test_the_usual_layers_are_those_of_the_original() -> None:
    assert chosen_layers((), 28) == (1, 2, 4, 8, 16, 24, 26, 27)
    assert chosen_layers((), 64) == (1, 2, 4, 8, 16, 24, 62, 63)
    assert chosen_layers((), 24) == (1, 2, 4, 8, 16, 22, 23)


def test_a_model_is_loaded_as_far_as_its_layers(tmp_path: Path, model: Any) -> None:
    part = IndexOptions(layers=(1, 2), vocabulary="none")
    assert needed_taps(model, part) == ["llm.layer_02"]
    assert needed_taps(model, IndexOptions(layers=(1, 2))) is None
    family = f"tiny:{model.family}"
    options = LoadOptions(dtype="float32", device="cpu")
    pruned: Any = encoders.load(family, options, ["llm.layer_02"])
    make_index(plan(tmp_path, tmp_path / "part", pruned, layers=(1, 2), vocabulary="none"))
    make_index(plan(tmp_path, tmp_path / "whole", model, layers=(1, 2)))
    for name in ("shard-000000.safetensors", "shard-000000.parquet", "shard-000000.json"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    index = open_index(tmp_path / "part")
    assert not index.has_vocabulary
    make_index(plan(tmp_path, tmp_path / "part", model, layers=(1, 2)))  # which may be added
    assert open_index(tmp_path / "part").has_vocabulary


def test_batches_change_rows_by_rounding_alone(tmp_path: Path, model: Any) -> None:
    make_index(plan(tmp_path, tmp_path / "alone", model, batch_tokens=1, vocabulary="none"))
    make_index(plan(tmp_path, tmp_path / "together", model, batch_tokens=1000, vocabulary="none"))
    (alone, first), (together, second) = content(tmp_path / "alone"), content(tmp_path / "together")
    assert first == second
    for name in alone:
        assert np.allclose(alone[name].float(), together[name].float(), rtol=1e-2, atol=1e-2)


def test_an_index_of_another_setting_or_corpus_is_refused(tmp_path: Path) -> None:
    encoder = load("qwen2_5_vl")
    make_index(plan(tmp_path, tmp_path / "I", encoder, vocabulary="none"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "I").iterdir()}
    for changed, told in (({"seed": 1}, r"selection\.seed is 0 there and 1 here"), ({"layers": (1,)}, r"layers\.kept")):
        with pytest.raises(FingerprintMismatch, match=told):
            make_index(plan(tmp_path, tmp_path / "I", encoder, vocabulary="none", **changed))
    other = plan(tmp_path, tmp_path / "I", encoder, vocabulary="none")
    (tmp_path / "corpus.txt").write_text("something else")
    with pytest.raises(FingerprintMismatch, match=r"corpus\.sha256"):
        make_index(Indexing(read_corpus(tmp_path / "corpus.txt"), encoder, other.options, other.out))
    assert {path.name: path.read_bytes() for path in (tmp_path / "I").iterdir()} == before
    (tmp_path / "file").write_text("")
    with pytest.raises(TextIndexError, match="is a file, expected a folder"):
        make_index(plan(tmp_path, tmp_path / "file", encoder))
    vision: Any = encoders.load("tiny:dinov2", LoadOptions(device="cpu"))
    with pytest.raises(UsageError, match="dinov2 has no language model"):
        plan(tmp_path, tmp_path / "V", vision)


def test_states_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    encoder = load("qwen2_5_vl")
    with torch.no_grad():
        encoder.model.model.language_model.layers[1].mlp.down_proj.weight[0] = float("inf")
    with pytest.raises(ModelError, match="hidden states of layer 2 are not finite numbers"):
        make_index(plan(tmp_path, tmp_path / "I", encoder, vocabulary="none"))


def test_what_others_make_is_left_to_them(tmp_path: Path) -> None:
    made = plan(tmp_path, tmp_path / "I", load("qwen2_5_vl"), vocabulary="none")
    made.folder.create()
    held = made.folder.claim("shard-000001")
    assert held
    with pytest.raises(Interrupted, match="other processes"):
        make_index(made, share=WorkShare(waits=False))
    assert made.folder.missing(made.folder.names) == ["shard-000001"]
    held.release()
    make_index(made)
    assert not made.folder.missing(made.folder.names)


def make(inputs: Path, out: Path) -> None:
    make_index(plan(inputs, out, load("qwen2_5_vl", "bfloat16"), MANY, contexts=24, rows_per_shard=1))


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(tmp_path: Path) -> None:
    check_equals_undisturbed(make, tmp_path, tmp_path, "shard-*.json", more=2)
