"""Readouts of the prompt's own tokens, against plain indexing into what the model computes for the whole prompt."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.encoders.bases.prompt_tokens import tokens_after
from foresight_cache.errors import FeatureError, UsageError
from foresight_cache.extraction import feature_checks
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.rerun import rerun
from foresight_cache.points import Point, resolve
from foresight_cache.samples import Sample
from foresight_cache.shards import ShardSet, open_shards, read_shard, write_shard
from foresight_cache.verify import verify
from tests.support.command import foresight
from tests.support.extracting import extraction_options
from tests.support.order_proofs import make
from tests.support.preparing import prepare

QUESTIONS = ("Is it red?", "What is to the left of the square, and what is above it?", "How many é?  ")
WITH_TEXT = [name for name in encoders.names() if encoders.describe(f"tiny:{name}", LoadOptions()).takes_prompt]


def tiny(family: str, prompt: str = "{question}", **options: Any) -> Any:
    return encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu", prompt=prompt, **options))


def captured(encoder: Encoder, texts: list[str], points: list[str]) -> tuple[dict[str, list[torch.Tensor]], Any]:
    clips, media = make(encoder, "three of a size")
    inputs = encoder.preprocess(clips, media, texts)
    return encoder.forward(inputs, points), inputs


@pytest.mark.parametrize("prompt", ["{question}", "Look. {question} Answer in a word, please.", "Q: {question}\n"])
@pytest.mark.parametrize("family", WITH_TEXT)
def test_text_and_the_last_token_of_the_question_are_where_the_prompt_has_them(family: str, prompt: str) -> None:
    """The tokens of these models are bytes, so that the sequence itself says what stands where."""
    encoder = tiny(family, prompt)
    texts = [prompt.replace("{question}", question) for question in QUESTIONS]
    found, inputs = captured(encoder, texts, ["llm.embed@text", "llm.embed@last_question", "llm.embed@last_query"])
    embed = encoder.model.get_input_embeddings()  # which Gemma multiplies
    for number, (ids, mask, text, question) in enumerate(
        zip(inputs["input_ids"], inputs["attention_mask"], texts, QUESTIONS, strict=True)
    ):
        sequence = ids[: int(mask.sum())]
        behind = int(encoder.is_seen(sequence[None])[0].nonzero().max()) + 1
        assert_close(found["llm.embed@text"][number], embed(sequence[behind:]), rtol=0, atol=0)
        said = encoder.processor.tokenizer.decode(sequence[behind:])
        assert text in said
        start = said.rindex(question.strip()) + len(question.strip()) - 1  # of its last letter
        place = len(said[:start].encode()) if "<" not in said[:start] else None
        last = encoder.processor.tokenizer(question.strip()[-1], add_special_tokens=False)["input_ids"][-1]
        assert_close(found["llm.embed@last_question"][number][0], embed(torch.tensor(last)), rtol=0, atol=0)
        if place is not None:
            assert sequence[behind + place] == last
        assert_close(found["llm.embed@last_query"][number], embed(sequence[-1:]), rtol=0, atol=0)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl"])
def test_deep_text_is_what_the_models_own_pass_has_there(family: str) -> None:
    encoder = tiny(family)
    texts = list(QUESTIONS)
    found, _ = captured(encoder, texts, ["llm.layer_02@text", "llm.layer_02@last_question"])
    clips, media = make(encoder, "three of a size")
    for number, (clip, text) in enumerate(zip(clips, texts, strict=True)):
        alone = encoder.preprocess([clip], media, [text])
        own = {name: value for name, value in alone.items() if name not in encoder.kept_on_host}
        with torch.no_grad():
            states = encoder.model(**own, output_hidden_states=True, use_cache=False).hidden_states[2][0]
        count = len(found["llm.layer_02@text"][number])
        assert_close(found["llm.layer_02@text"][number], states[-count:], rtol=1e-3, atol=1e-3)
        tail = encoder.processor.tokenizer.decode(alone["input_ids"][0]).rpartition(text.rstrip())[2]
        after = len(encoder.processor.tokenizer(tail, add_special_tokens=False)["input_ids"])
        vector = found["llm.layer_02@last_question"][number]
        assert_close(vector, states[len(states) - 1 - after][None], rtol=1e-3, atol=1e-3)


def test_a_token_that_ends_the_question_and_more_is_the_questions(assets: Path) -> None:
    """The real vocabulary of Qwen, whose tokens are pieces of words."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(assets / "models/qwen-tokenizer")
    for rendered, question, kept in [
        ("<|im_start|>user\nIs it red?<|im_end|>\n", "Is it red?", "?"),
        ("user\nhow many dogs there are in all", "how many dog", " dogs"),
        ("red? red? Answer.", "red?", "?"),
    ]:
        ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        after = tokens_after(tokenizer, rendered, question)
        assert tokenizer.decode(ids[len(ids) - 1 - after]) == kept
    assert tokens_after(tokenizer, "something else", "Is it red?") == -1


def test_both_need_the_text() -> None:
    encoder = tiny("qwen3_vl")
    inputs = encoder.preprocess(*make(encoder, "square"))
    for readout in ("text", "last_question"):
        with pytest.raises(UsageError, match=f"@{readout} needs inputs with texts"):
            encoder.forward(inputs, [f"llm.layer_01@{readout}"])


def test_a_template_that_changes_the_words_has_no_last_question(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny("qwen2_vl")
    monkeypatch.setattr(encoder, "render_turn", lambda *given: encoder._render_turn(*given).upper())
    monkeypatch.setattr(encoder, "prompt_inputs", lambda *given: type(encoder).prompt_inputs(tiny("qwen2_vl"), *given))
    with pytest.raises(UsageError, match="does not hold the user's words as they are"):
        captured(encoder, ["a", "b", "c"], ["llm.layer_01@last_question"])


# Through an extraction.


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("questions")
    prepare("shapes", out=folder / "S", limit=3, samples_per_shard=3)
    plain = open_shards(folder / "S")

    def asked(sample: Sample, question: str) -> Sample:
        answered = {"qa": {"question": question, "answer": None, "hallucinated": None}}
        return replace(sample, annotations={**sample.annotations, **answered})

    (folder / "Q").mkdir()
    content = [(asked(s, text), media) for (s, media), text in zip(read_shard(plain, 0), QUESTIONS, strict=True)]
    return replace(plain, path=folder / "Q", shards=(write_shard(folder / "Q", 0, 0, content),))


def test_text_is_ragged_in_a_cache_and_points_can_be_added(shards: ShardSet, tmp_path: Path) -> None:
    encoder = tiny("qwen2_5_vl")
    taps = [tap.name for tap in encoder.taps]
    points = ("llm.layer_02", "llm.layer_02@text", "llm.embed@text", "llm.layer_02@last_question")
    extract(shards, encoder, extraction_options(resolve(points, taps), "112"), tmp_path / "C")
    extract(shards, encoder, extraction_options([Point("llm.layer_02", "last_query")], "112"), tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    assert verify(cache) == []
    for index, question in enumerate(QUESTIONS):
        text = cache["llm.layer_02@text"][index]
        assert len(text) > len(question.encode())
        assert cache.rows[index]["grid_text"] == (1, 1, len(text))
        np.testing.assert_array_equal(text[-1:], cache["llm.layer_02@last_query"][index])
        assert cache["llm.layer_02@last_question"].grid_of(index) == (1, 1, 1)
    assert cache["llm.layer_02@text"].to_xarray().dims == ("sample", "token", "channel"), "words lie nowhere"
    together = cache.to_xarray("llm.layer_02@text")
    assert together["llm.layer_02@text"].dims == ("sample", "text", "language_channel")
    assert max(found.relative for found in rerun(cache, encoder, 3)) < 1e-5
    shown = foresight("inspect", tmp_path / "C").stdout
    norms = shown[shown.index("features, median over shards") :]
    assert norms.index("llm.layer_02 ") < norms.index("llm.layer_02@text ")


def test_a_prompt_that_is_too_long_is_one_sentence(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_checks, "MOST_TEXT_TOKENS", 20)
    options = extraction_options([Point("llm.layer_02", "text")], "112")
    with pytest.raises(FeatureError, match=r"the prompt to sample .* has \d+ tokens .*, expected at most 20"):
        extract(shards, tiny("qwen2_vl"), options, tmp_path / "C")
