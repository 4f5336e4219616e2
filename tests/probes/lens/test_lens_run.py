"""Words of tokens against brute force in numpy, planted words, and transformers' own norm and head."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow.parquet
import pytest
import torch

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import TextIndexError, UnknownName, UsageError
from foresight_cache.text_index.corpus import read_corpus
from foresight_cache.text_index.indexing import Indexing, make_index
from foresight_cache.text_index.options import IndexOptions
from foresight_cache.text_index_files import open_index
from foresight_probes.lens import lens_run, nearest
from foresight_probes.lens.lens_run import LensRun, usable_points
from foresight_probes.report.lens import write_lens
from tests.cache.answers.test_answering import FAMILIES, _logits_of_llava, _logits_of_qwen
from tests.support import lenses, questions
from tests.support.command import foresight

WIDTH = 24
POINTS = ("vit.post_merge", "llm.embed", "llm.layer_02", "llm.layer_04", "llm.layer_04@last_query", "llm.final_norm")


def rounded(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(ml_dtypes.bfloat16).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return rounded(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


def test_neighbours_are_those_of_brute_force(tmp_path: Path) -> None:
    vectors = {2: random(230, WIDTH, seed=1), 5: random(230, WIDTH, seed=2), 7: 8 * random(230, WIDTH, seed=3)}
    index = lenses.write_index(tmp_path / "I", vectors)
    tokens = {"llm.layer_03": random(5, 6, WIDTH), "llm.layer_04@mean": random(5, 1, WIDTH)}
    run = LensRun(open_cache(lenses.write_cache(tmp_path / "C", tokens)), index, tuple(tokens), top=7)
    everything = unit(np.concatenate([vectors[layer] for layer in sorted(vectors)]))
    layers, words = np.repeat(sorted(vectors), 230), np.tile([f"w{row}" for row in range(230)], 3)
    for sample in run.each():
        for point, all_tokens in tokens.items():
            found = sample.words[point, "contextual"]
            cosines = unit(all_tokens[sample.number]) @ everything.T
            order = np.argsort(-cosines, axis=1)[:, :7]
            assert found.columns["token"].tolist() == words[order].tolist()
            assert found.columns["contextual_layer"].tolist() == layers[order].tolist()
            assert found.columns["phrase"].tolist() == [[f"a phrase of {own}" for own in row] for row in words[order]]
            assert np.abs(found.values_QK - np.take_along_axis(cosines, order, 1)).max() < 1e-5


def test_the_sizes_of_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = {layer: random(230, WIDTH, seed=layer) for layer in (1, 4)}
    cache = open_cache(lenses.write_cache(tmp_path / "C", {"llm.layer_03": random(5, 6, WIDTH)}))

    def words(rows_per_shard: int) -> list[Any]:
        index = lenses.write_index(tmp_path / f"I{rows_per_shard}", vectors, rows_per_shard)
        run = LensRun(cache, index, ("llm.layer_03",))
        return [sample.words["llm.layer_03", "contextual"].columns["token"].tolist() for sample in run.each()]

    whole = words(230)
    monkeypatch.setattr(nearest, "_ROWS", 11)
    monkeypatch.setattr(nearest, "_QUERIES", 5)
    monkeypatch.setattr(lens_run, "_QUERIES", 7)
    assert words(37) == whole


def test_a_planted_token_finds_its_word_at_its_layer(tmp_path: Path) -> None:
    """Each token is a word's vector at one layer, at another length and with noise; its place tells which."""
    draw = np.random.default_rng(0)
    vectors = {layer: random(60, WIDTH, seed=layer) for layer in (1, 2, 4)}
    index = lenses.write_index(tmp_path / "I", vectors, rows_per_shard=25)
    layers, rows = draw.choice([1, 2, 4], (4, 6)), draw.integers(0, 60, (4, 6))
    planted = np.stack(
        [[vectors[layer][row] for layer, row in zip(*own, strict=True)] for own in zip(layers, rows, strict=True)]
    )
    tokens = planted * draw.uniform(1, 50, (4, 6, 1)) + 0.3 * draw.normal(size=planted.shape)
    run = LensRun(
        open_cache(lenses.write_cache(tmp_path / "C", {"vit.post_merge": tokens})), index, ("vit.post_merge",)
    )
    for sample in run.each():
        found = sample.words["vit.post_merge", "contextual"].columns
        assert found["token"][:, 0].tolist() == [f"w{row}" for row in rows[sample.number]]
        assert found["contextual_layer"][:, 0].tolist() == layers[sample.number].tolist()


def test_the_table_has_a_row_for_each_neighbour(tmp_path: Path) -> None:
    index = lenses.write_index(tmp_path / "I", {3: random(60, WIDTH)})
    cache = open_cache(lenses.write_cache(tmp_path / "C", {"llm.layer_02": random(3, 6, WIDTH)}))
    (tmp_path / "out").mkdir()
    run = LensRun(cache, index, ("llm.layer_02",), top=2)
    (seen,) = write_lens(run, tmp_path / "out", pages=1)
    table = pyarrow.parquet.read_table(tmp_path / "out" / "words.parquet").to_pandas()
    assert len(table) == 3 * 6 * 2
    second = table[(table["sample"] == "planted/train/0001") & (table["rank"] == 1)]
    assert list(zip(second["t"], second["y"], second["x"], strict=True)) == [
        (0, y, x) for y in range(2) for x in range(3)
    ]
    one = next(sample for sample in run.each() if sample.number == 1)
    assert second["token"].tolist() == one.words["llm.layer_02", "contextual"].columns["token"][:, 0].tolist()
    first = table[table["rank"] == 1]["token"]
    assert (seen.tokens, seen.words, seen.share) == (18, first.nunique(), first.value_counts().max() / 18)
    assert seen.mean == pytest.approx(table[table["rank"] == 1]["similarity"].mean(), abs=1e-6)
    assert [path.name for path in (tmp_path / "out/pages").iterdir()] == ["000000.html"]


# Real classes of transformers.


@pytest.fixture(scope="module", params=FAMILIES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """A tiny model in float32, an index by it, and a cache of three pictures, each with a question."""
    torch.set_num_threads(1)
    folder, family = tmp_path_factory.mktemp(request.param), f"tiny:{request.param}"
    side = FAMILIES[request.param]
    questions.prepared(folder, images=1, side=side)
    words = ("--dtype", "float32", "--device", "cpu", "--prompt", "{question}", "--size", side)
    done = foresight(
        "extract", folder / "S", "--model", family, *words, "--points", ",".join(POINTS), "--out", folder / "C"
    )
    assert done.returncode == 0, done.stderr
    encoder: Any = encoders.load(family, LoadOptions(dtype="float32", device="cpu"))
    (folder / "corpus.txt").write_text("a red dog\na cat\n")
    make_index(Indexing(read_corpus(folder / "corpus.txt"), encoder, IndexOptions(layers=(1,)), folder / "I"))
    return encoder, open_cache(folder / "C"), open_index(folder / "I")


@torch.no_grad()
def test_embeddings_and_logits_are_those_of_transformers(world: tuple[Any, Any, Any]) -> None:
    encoder, cache, index = world
    assert usable_points(cache, index, None) == POINTS
    run = LensRun(cache, index, POINTS, lenses=("embedding", "logit"), top=5)
    norm, head = encoder.model.model.language_model.norm, encoder.model.lm_head
    table = encoder.model.model.language_model.embed_tokens.weight
    for sample in run.each():
        for point in POINTS:
            states = torch.tensor(cache[point][sample.number])
            cosines = torch.nn.functional.cosine_similarity(states[:, None], table[None], dim=-1)
            logits = head(states if point == "llm.final_norm" else norm(states))
            for lens, expected in (("embedding", cosines), ("logit", logits)):
                found, best = sample.words[point, lens], expected.topk(5)
                assert found.columns["token_id"].tolist() == best.indices.tolist()
                assert np.abs(found.values_QK - best.values.numpy()).max() < 1e-4
                names = [[encoder.processor.tokenizer.decode([each]) for each in row] for row in best.indices.tolist()]
                assert found.columns["token"].tolist() == names


@torch.no_grad()
def test_logits_of_the_last_layer_are_what_the_model_says_next(world: tuple[Any, Any, Any]) -> None:
    encoder, cache, index = world
    whole_pass = _logits_of_llava if encoder.family == "llava_onevision" else _logits_of_qwen
    run = LensRun(cache, index, ("llm.layer_04@last_query",), lenses=("logit",), top=20)
    for sample in run.each():
        question = cache.rows[sample.number]["annotations"]["qa"]["question"]
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        prompt = encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
        logits, _ = whole_pass(encoder, questions.picture(0, FAMILIES[encoder.family]), prompt, [])
        found = sample.words["llm.layer_04@last_query", "logit"]
        assert found.columns["token_id"][0].tolist() == logits.topk(20).indices.tolist()
        assert np.abs(found.values_QK[0] - logits.topk(20).values.numpy()).max() < 1e-3


# What is refused.


def test_an_index_of_something_else_is_refused(tmp_path: Path) -> None:
    cache = open_cache(lenses.write_cache(tmp_path / "C", {"llm.layer_02": random(2, 6, WIDTH)}))
    vectors = {3: random(20, WIDTH)}
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "model": ({"model": {"weights_digest": "f" * 64}}, r"of another model: model\.weights_digest is ffffffffffff…"),
        "tokenizer": ({"model": {"tokenizer_digest": "e" * 64}}, "of another tokenizer: model.tokenizer_digest"),
        "numbering": ({"layers": {"numbering": "blocks from 0"}}, "numbers its layers by 'blocks from 0', expected"),
        "depth": ({"layers": {"of": 7}}, "of a model of 7 layers, and .* of 8"),
        "name": ({"model": {"name": "other", "weights_digest": None}}, "of another model: 'other', and .* 'planted'"),
    }
    for name, (changed, told) in changes.items():
        index = lenses.write_index(tmp_path / name, vectors, **changed)
        with pytest.raises(TextIndexError, match=told):
            LensRun(cache, index, ("llm.layer_02",))
    named = lenses.write_index(tmp_path / "named", vectors, model={"weights_digest": None, "tokenizer_digest": None})
    assert list(LensRun(cache, named, ("llm.layer_02",)).each())
    with pytest.raises(TextIndexError, match="has no input embeddings and no head"):
        LensRun(cache, named, ("llm.layer_02",), lenses=("contextual", "logit"))


def test_points_of_another_space_are_refused(tmp_path: Path) -> None:
    tokens = {"vit.pre_merge": random(2, 6, WIDTH), "vit.post_merge": random(2, 6, 10)}
    cache = open_cache(lenses.write_cache(tmp_path / "C", tokens))
    index = lenses.write_index(tmp_path / "I", {3: random(20, WIDTH)})
    with pytest.raises(UsageError, match=r"vit\.post_merge of .* has 10 channels, and the language model .* 24"):
        LensRun(cache, index, ("vit.post_merge",))
    with pytest.raises(UsageError, match="has as many channels as the language model and is not in its space"):
        LensRun(cache, index, ("vit.pre_merge",))
    with pytest.raises(UsageError, match="has no point in the language model's space"):
        usable_points(cache, index, None)
    with pytest.raises(UnknownName, match=r"llm\.layer_02"):
        usable_points(cache, index, ["llm.layer_02"])


def test_an_index_half_written_or_damaged_is_refused(tmp_path: Path) -> None:
    lenses.write_index(tmp_path / "I", {3: random(20, WIDTH)}, rows_per_shard=8)
    commit = (tmp_path / "I/shard-000001.json").read_bytes()
    (tmp_path / "I/shard-000001.json").unlink()
    with pytest.raises(TextIndexError, match="is half written: 1 of its 3 shards are missing, such as shard-000001"):
        open_index(tmp_path / "I")
    (tmp_path / "I/shard-000001.json").write_bytes(commit)
    shard = tmp_path / "I/shard-000002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(TextIndexError, match=r"shard-000002\.safetensors is not what was written"):
        list(open_index(tmp_path / "I").shards)
    (tmp_path / "I/index.json").write_text("{}")
    with pytest.raises(TextIndexError, match=r"index\.json is no 'foresight-text-index'"):
        open_index(tmp_path / "I")
    with pytest.raises(TextIndexError, match="holds no index"):
        open_index(tmp_path)
