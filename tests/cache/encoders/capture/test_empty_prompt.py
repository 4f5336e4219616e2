"""An image without words: an empty user turn, by the owners' processors and plain indexing."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.rerun import rerun
from foresight_cache.points import OF_TEXT, Point, resolve
from foresight_cache.shards import ShardSet, open_shards
from tests.support.command import foresight, said
from tests.support.extracting import extraction_options
from tests.support.order_proofs import make
from tests.support.preparing import prepare

WITH_TEXT = [name for name in encoders.names() if encoders.describe(f"tiny:{name}", LoadOptions()).takes_prompt]


def tiny(family: str, prompt: str = "") -> Any:
    return encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu", prompt=prompt))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("mute")
    prepare("scene-questions", out=folder / "S", limit=4, samples_per_shard=4)
    return open_shards(folder / "S")


@torch.no_grad()
def by_processor(encoder: Any, picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [N] and hidden states [N, D] after the second layer of Qwen's own classes."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ""}]}
    text = encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    inputs = encoder.processor(text=[text], images=[picture], do_resize=False, return_tensors="pt")
    states = encoder.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
    return inputs["input_ids"][0], states[2][0]


@torch.no_grad()
def by_modules(encoder: Any, picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of LLaVA-OneVision with the one view of a picture, whose own processor would add tiles."""
    model, processor, config = encoder.model.model, encoder.processor, encoder.model.config
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ""}]}
    text = processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in _normal(processor))
    seen = model.vision_tower((pixels - mean) / std, output_hidden_states=True)
    view = model.multi_modal_projector(seen.hidden_states[config.vision_feature_layer])[0]
    features = torch.cat([view, model.image_newline[None]])
    ids = processor.tokenizer(text.replace("<image>", "<image>" * len(features)), return_tensors="pt")["input_ids"]
    embedded = model.language_model.embed_tokens(ids)
    embedded[ids == config.image_token_id] = features
    states = model.language_model(inputs_embeds=embedded, output_hidden_states=True, use_cache=False).hidden_states
    return ids[0], states[2][0]


def _normal(processor: Any) -> tuple[list[float], list[float]]:
    return processor.image_processor.image_mean, processor.image_processor.image_std


@pytest.mark.parametrize(
    ("family", "side", "by_hand"),
    [("qwen2_5_vl", 112, by_processor), ("qwen2_vl", 168, by_processor), ("llava_onevision", 76, by_modules)],
)
def test_readouts_are_those_of_an_empty_turn(
    family: str, side: int, by_hand: Any, shards: ShardSet, tmp_path: Path
) -> None:
    encoder = tiny(family)
    names = ["llm.layer_02", *(f"llm.layer_02@{name}" for name in ("last_vision", "last_query", "text"))]
    # The place of HALP's own vision token is known of Qwen's models.
    names += ["llm.layer_02@halp_vision"] * family.startswith("qwen")
    points = resolve(names, [tap.name for tap in encoder.taps])
    extract(shards, encoder, extraction_options(points, str(side), batch_tokens=100_000), tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    assert cache.fingerprint["model"]["prompt"] == ""
    for index in range(len(cache)):
        ids, states = by_hand(encoder, cache["pixels"].grid(index)[0].astype(np.uint8))
        visual = (ids == encoder.config.image_token_id).nonzero()[:, 0]
        tokens = len(cache["llm.layer_02"][index])
        expected = {
            "llm.layer_02": states[visual[:tokens]],
            "llm.layer_02@last_vision": states[visual[tokens - 1]][None],
            "llm.layer_02@text": states[visual[-1] + 1 :],
            "llm.layer_02@last_query": states[-1:],
            # The 64 patches of one are fewer than half of the sequence, the 144 of the other are more.
            "llm.layer_02@halp_vision": states[min((side // 14) ** 2, len(ids) // 2)][None],
        }
        for name in names:
            assert_close(torch.from_numpy(cache[name][index]), expected[name], rtol=1e-3, atol=1e-3, msg=name)
        assert encoder.processor.tokenizer.decode(ids[-11:]).endswith("assistant\n"), "the template's last token"
    assert max(found.relative for found in rerun(cache, encoder, 2)) < 1e-5


@pytest.mark.parametrize("family", WITH_TEXT)
def test_every_family_takes_it(family: str) -> None:
    encoder = tiny(family)
    clips, media = make(encoder, "three of a size")
    inputs = encoder.preprocess(clips, media, [""] * len(clips))
    found = encoder.forward(inputs, ["llm.embed@text", "llm.embed@last_query"])
    embed = encoder.model.get_input_embeddings()
    behind = "\n" if family == "paligemma" else "<|im_end|>\n<|im_start|>assistant\n"
    for ids, mask, text, last in zip(inputs["input_ids"], inputs["attention_mask"], *found.values(), strict=True):
        sequence = ids[: int(mask.sum())]
        tail = sequence[len(sequence) - len(text) :]
        # Before the turn's end some have a mark of their own, where the picture ends.
        assert re.fullmatch(rf"(<[^<>]*>|\n)*{re.escape(behind)}", encoder.processor.tokenizer.decode(tail))
        assert_close(text, embed(tail), rtol=0, atol=0)
        assert_close(last, embed(sequence[-1:]), rtol=0, atol=0)


def test_it_has_no_question_whose_last_token_could_be_read(shards: ShardSet, tmp_path: Path) -> None:
    given = ("extract", shards.path, "--model", "tiny:qwen2_vl", "--size", "56", "--device", "cpu", "--prompt", "")
    refused = said(*given, "--points", "llm.layer_02@last_question", "--out", tmp_path / "C", status=2)
    assert "@last_question is not possible: --prompt is empty and has no question; ask for @last_query" in refused
    assert not (tmp_path / "C").exists()
    assert foresight(*given, "--points", "llm.layer_02@last_query", "--out", tmp_path / "C").returncode == 0


def test_the_token_of_halp_is_known_of_qwen_alone() -> None:
    assert "halp_vision" in OF_TEXT
    for family in WITH_TEXT:
        if not family.startswith("qwen"):
            with pytest.raises(UsageError, match="it is HALP's token in Qwen's models; ask for @last_vision"):
                encoders.describe(f"tiny:{family}", LoadOptions()).check_points([Point("llm.layer_01", "halp_vision")])
