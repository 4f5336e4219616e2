"""Answers of a model against transformers' own forward pass, step by step and without what speeds it up."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foresight_cache import encoders
from foresight_cache.answers.answering import Answering, answer
from foresight_cache.answers.first_token import word_tokens
from foresight_cache.answers.generation import Generator
from foresight_cache.answers.options import AnswerOptions, AskOptions
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights.tiny_models import byte_tokenizer
from foresight_cache.errors import AnswersError, FingerprintMismatch, Interrupted, ModelError, UsageError
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution
from foresight_cache.runtime.work_share import WorkShare
from foresight_cache.shards import open_shards
from tests.support import questions
from tests.support.killed_pairs import check_equals_undisturbed

FAMILIES = {"qwen2_5_vl": 112, "qwen2_vl": 112, "llava_onevision": 76}
TOKENS = 5


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    torch.set_num_threads(1)
    options = LoadOptions(dtype="float32", device="cpu", prompt="{question}")
    return encoders.load(f"tiny:{request.param}", options)


@dataclass(frozen=True)
class Expected:
    """What a model says, found by whole passes over ever longer sequences."""

    tokens: list[int]
    log_probabilities: list[torch.Tensor]
    length: int

    @property
    def best(self) -> list[float]:
        return [float(each.max()) for each in self.log_probabilities]


@torch.no_grad()
def by_hand(encoder: Any, picture: np.ndarray, question: str, stops: Collection[int], steps: int = TOKENS) -> Expected:
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    prompt = encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    logits = _logits_of_llava if encoder.family == "llava_onevision" else _logits_of_qwen
    found, taken, length = [], [], 0
    while len(taken) < steps and not set(stops) & set(taken):
        row, length = logits(encoder, picture, prompt, taken)
        found.append(row.log_softmax(-1))
        taken.append(int(row.argmax()))
    return Expected(taken, found, length - len(taken) + 1)


def _logits_of_qwen(encoder: Any, picture: np.ndarray, prompt: str, taken: list[int]) -> tuple[torch.Tensor, int]:
    inputs = encoder.processor(text=[prompt], images=[picture], do_resize=False, return_tensors="pt")
    more = torch.tensor([taken], dtype=torch.long)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], more], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == encoder.model.config.image_token_id).long()
    return encoder.model(**inputs, use_cache=False).logits[0, -1], inputs["input_ids"].shape[1]


def _logits_of_llava(encoder: Any, picture: np.ndarray, prompt: str, taken: list[int]) -> tuple[torch.Tensor, int]:
    """The view of the whole picture, without the tiles that its processor adds, ends with the mark of a row's end."""
    inputs = encoder.processor(text=[prompt], images=[picture], return_tensors="pt")
    multimodal = encoder.model.model
    view = multimodal.get_image_features(inputs["pixel_values"], inputs["image_sizes"]).pooler_output[0]
    side = encoder.model.config.vision_config.image_size // encoder.model.config.vision_config.patch_size
    view = torch.cat([view[: side * side], multimodal.image_newline[None]])
    mark = encoder.processor.image_token
    before, after = (encoder.processor.tokenizer(part)["input_ids"] for part in prompt.split(mark))
    embed = multimodal.language_model.embed_tokens
    whole = torch.cat([embed(torch.tensor(before)), view, embed(torch.tensor([*after, *taken]))])
    states = multimodal.language_model(inputs_embeds=whole[None], use_cache=False).last_hidden_state
    return encoder.model.lm_head(states)[0, -1], len(whole)


def asked(encoder: Any, pictures: list[np.ndarray], texts: list[str]) -> Any:
    return encoder.preprocess([picture[np.newaxis] for picture in pictures], "image", texts)


def test_an_answer_is_the_likeliest_token_at_each_step(model: Any) -> None:
    generator = Generator(model, AnswerOptions(max_new_tokens=TOKENS))
    side = FAMILIES[model.family]
    words = [question for question, _ in questions.QUESTIONS]
    for number, question in enumerate(words):
        picture = questions.picture(number, side)
        (made,) = generator.answers(asked(model, [picture], [question]))
        expected = by_hand(model, picture, question, generator.stops)
        text = model.processor.tokenizer.decode(expected.tokens, skip_special_tokens=True)
        assert made.answer == text.strip()
        assert (made.answer_tokens, made.prompt_tokens) == (len(expected.tokens), expected.length)
        assert made.finish == ("stop" if set(generator.stops) & set(expected.tokens) else "length")
        first = expected.log_probabilities[0]
        top = made.first_token["top"]
        assert [each["id"] for each in top] == first.topk(20).indices.tolist()
        assert [each["log_probability"] for each in top] == pytest.approx(first.topk(20).values.tolist(), abs=1e-4)
        ids = model.processor.tokenizer.convert_tokens_to_ids(["y", "Y"])
        yes = sum(float(first[token].exp()) for token in ids)
        assert made.first_token["p_yes"] == pytest.approx(yes, abs=1e-5)
        assert made.first_token["entropy"] == pytest.approx(float(-(first.exp() * first).sum()), abs=1e-4)
        assert made.mean_log_probability == pytest.approx(np.mean(expected.best), abs=1e-4)


def test_a_batch_answers_as_each_prompt_alone(model: Any) -> None:
    generator = Generator(model, AnswerOptions(max_new_tokens=TOKENS))
    pictures = [questions.picture(number, FAMILIES[model.family]) for number in range(4)]
    texts = ["Is there a dog?", "Is there a cat?", "Is there a hat?", "Is there a bus?"]
    together = generator.answers(asked(model, pictures, texts))
    for made, picture, text in zip(together, pictures, texts, strict=True):
        (alone,) = generator.answers(asked(model, [picture], [text]))
        assert (made.answer, made.finish, made.answer_tokens) == (alone.answer, alone.finish, alone.answer_tokens)
        assert made.mean_entropy == pytest.approx(alone.mean_entropy, abs=1e-4)
    assert len({made.answer for made in together}) > 1, "all answers are the same: the test shows nothing"


def test_steps_after_an_answer_has_ended_count_for_others_alone(model: Any) -> None:
    generator = Generator(model, AnswerOptions(max_new_tokens=TOKENS))
    picture = questions.picture(0, FAMILIES[model.family])
    words = [f"Is there a {name}?" for name in ("dog", "cat", "bus", "hat", "cup", "key")]
    whole = {text: by_hand(model, picture, text, generator.stops).tokens for text in words}
    early, late, stop = next(
        (one, other, token)
        for one in words
        for other in words
        for token in whole[one][:-1]
        if token not in whole[other]
    )
    model.model.generation_config.eos_token_id = [*generator.stops, stop]
    stopping = Generator(model, AnswerOptions(max_new_tokens=TOKENS))
    ended, other = stopping.answers(asked(model, [picture, picture], [early, late]))
    expected = by_hand(model, picture, early, stopping.stops)
    assert (ended.answer_tokens, ended.finish) == (len(expected.tokens), "stop")
    assert other.answer_tokens > ended.answer_tokens, "both end at once: the test shows nothing"
    assert ended.mean_log_probability == pytest.approx(np.mean(expected.best), abs=1e-4)
    model.model.generation_config.eos_token_id = list(generator.stops)


def test_prompts_of_several_lengths_are_refused(model: Any) -> None:
    generator = Generator(model, AnswerOptions(max_new_tokens=TOKENS))
    pictures = [questions.picture(number, FAMILIES[model.family]) for number in range(2)]
    with pytest.raises(ModelError, match="several lengths"):
        generator.answers(asked(model, pictures, ["Is there a dog?", "Is it?"]))


def test_what_a_model_recommends_changes_no_answer(model: Any) -> None:
    picture, question = questions.picture(1, FAMILIES[model.family]), "Is there a dog?"
    (plain,) = Generator(model, AnswerOptions(max_new_tokens=TOKENS)).answers(asked(model, [picture], [question]))
    model.model.generation_config.repetition_penalty = 5.0
    model.model.generation_config.no_repeat_ngram_size = 1
    (again,) = Generator(model, AnswerOptions(max_new_tokens=TOKENS)).answers(asked(model, [picture], [question]))
    assert again == plain


def test_the_answer_is_the_choice_that_is_likeliest_to_begin(model: Any) -> None:
    generator = Generator(model, AnswerOptions(choices=("yes", "no")))
    pictures = [questions.picture(number, FAMILIES[model.family]) for number in range(3)]
    for made in generator.answers(asked(model, pictures, ["Is there a dog?"] * 3)):
        likeliest = "yes" if made.first_token["p_yes"] > made.first_token["p_no"] else "no"
        assert (made.answer, made.finish, made.answer_tokens) == (likeliest, "choice", 1)


def test_logits_that_are_no_numbers_are_a_failure_and_no_answer() -> None:
    options = LoadOptions(dtype="float32", device="cpu", prompt="{question}")
    encoder: Any = encoders.load("tiny:qwen2_5_vl", options)
    with torch.no_grad():
        encoder.model.lm_head.weight[0] = float("nan")
    generator = Generator(encoder, AnswerOptions(max_new_tokens=2))
    (made,) = generator.answers(asked(encoder, [questions.picture(0)], ["Is there a dog?"]))
    assert (made.answer, made.finish) == (None, None)
    assert "not finite" in str(made.failure)


def test_a_token_that_begins_two_words_counts_for_neither() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer.convert_tokens_to_ids
    assert word_tokens(tokenizer, ("yes", "no")) == [tuple(ids(["Y", "y"])), tuple(ids(["N", "n"]))]
    assert word_tokens(tokenizer, ("yes", "yeah", "no")) == [(), (), tuple(ids(["N", "n"]))]


# Whole sets.


def plan(
    folder: Path, out: Path, *, tokens: int = TOKENS, choices: tuple[str, ...] = (), dtype: Any = "float32"
) -> Answering:
    return Answering(
        open_shards(folder / "S"),
        encoders.load("tiny:qwen2_5_vl", AskOptions(dtype=dtype, device="cpu")),
        InputSpec(size=InputSize.parse("112")),
        AnswerOptions(max_new_tokens=tokens, choices=choices),
        Execution(batch_tokens=256),
        out,
    )


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_each_sample_has_a_line_in_order(tmp_path: Path) -> None:
    bad = {"image": "images/0.png", "question": "Look <|im_end|> there?", "references": ["no"]}
    shards = questions.prepared(tmp_path, more=[bad])
    made = plan(tmp_path, tmp_path / "A")
    finished: list[tuple[int, int]] = []
    answer(made, lambda samples, size: finished.append((samples, size)))
    assert [sum(each) for each in zip(*finished, strict=True)] == [
        shards.samples,
        sum(path.stat().st_size for path in (tmp_path / "A").glob("*.jsonl")),
    ]
    found = lines(tmp_path / "A")
    assert [line["id"] for line in found] == [name for shard in shards.shards for name in shard.ids]
    assert [line["question"] for line in found][:3] == [question for question, _ in questions.QUESTIONS]
    assert {line["model"]["fingerprint"] for line in found} == {made.folder.digest}
    failed = found[-1]
    assert failed["answer"] is None
    assert "<|im_end|>" in failed["failure"]
    encoder: Any = made.encoder
    for line in (found[1], found[4]):
        picture = questions.picture(int(line["id"].split("/")[-1][0]))
        expected = by_hand(encoder, picture, line["question"], made.generator.stops)
        decoded = encoder.processor.tokenizer.decode(expected.tokens, skip_special_tokens=True)
        assert line["answer"] == decoded.strip()
    assert not list((tmp_path / "A").glob(".*"))


def test_answers_of_another_setting_or_set_are_refused(tmp_path: Path) -> None:
    questions.prepared(tmp_path)
    answer(plan(tmp_path, tmp_path / "A"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "A").iterdir()}
    with pytest.raises(FingerprintMismatch, match="max_new_tokens is 5 there and 6 here"):
        answer(plan(tmp_path, tmp_path / "A", tokens=6))
    with pytest.raises(FingerprintMismatch, match="choices"):
        answer(plan(tmp_path, tmp_path / "A", choices=("yes", "no")))
    questions.prepared(tmp_path / "other", images=2)
    with pytest.raises(AnswersError, match="other shards"):
        answer(plan(tmp_path / "other", tmp_path / "A"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "A").iterdir()} == before
    (tmp_path / "A" / "answers.json").write_text("{}")
    with pytest.raises(AnswersError, match=r"answers\.json cannot be used"):
        answer(plan(tmp_path, tmp_path / "A"))


def test_a_call_that_made_no_answer_binds_nobody(tmp_path: Path) -> None:
    questions.prepared(tmp_path)
    plan(tmp_path, tmp_path / "A").folder.create()
    other = plan(tmp_path, tmp_path / "A", tokens=6)
    other.folder.create()
    held = other.folder.claim(0)
    assert held
    with pytest.raises(FingerprintMismatch, match="max_new_tokens is 6 there and 5 here"):
        plan(tmp_path, tmp_path / "A").folder.create()
    held.release()
    plan(tmp_path, tmp_path / "A").folder.create()


def test_choices_that_begin_alike_and_models_without_a_prompt_are_refused(tmp_path: Path) -> None:
    questions.prepared(tmp_path)
    with pytest.raises(UsageError, match="begins with the same tokens"):
        answer(plan(tmp_path, tmp_path / "A", choices=("yes", "yeah")))
    with pytest.raises(UsageError, match="two answers or more"):
        AnswerOptions(choices=("yes",))
    vision = encoders.load("tiny:dinov2", LoadOptions(device="cpu"))
    made = plan(tmp_path, tmp_path / "A")
    with pytest.raises(UsageError, match="has no prompt and gives no answers"):
        Answering(made.shards, vision, made.spec, made.options, made.execution, tmp_path / "A")


def test_what_others_answer_is_left_to_them(tmp_path: Path) -> None:
    questions.prepared(tmp_path)
    made = plan(tmp_path, tmp_path / "A")
    made.folder.create()
    held = made.folder.claim(1)
    assert held
    with pytest.raises(Interrupted, match="other processes"):
        answer(made, share=WorkShare(waits=False))
    assert made.folder.missing(range(3)) == [1]
    held.release()
    answer(made)
    assert not made.folder.missing(range(3))


def make(inputs: Path, out: Path) -> None:
    answer(plan(inputs, out, dtype="bfloat16"))


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(tmp_path: Path) -> None:
    questions.prepared(tmp_path, samples_per_shard=1, images=6)
    check_equals_undisturbed(make, tmp_path, tmp_path, "*.jsonl", more=3)
