"""The vectors of a question that probes of hallucination read, against transformers' own pass over all tokens."""

from typing import Any

import numpy as np
import pytest
import torch

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from tests.support import questions

SIDES = {"qwen2_5_vl": 112, "qwen2_vl": 112, "llava_onevision": 76}
ASKED = ("Is there a dog?", "Is the big red car left of the small tree?")


@pytest.fixture(scope="module", params=SIDES)
def model(request: pytest.FixtureRequest) -> Any:
    torch.set_num_threads(1)
    options = LoadOptions(dtype="float32", device="cpu", prompt="{question}")
    return encoders.load(f"tiny:{request.param}", options)


def layers(encoder: Any) -> list[str]:
    return [tap.name for tap in encoder.taps if tap.name.startswith("llm.layer_")]


@torch.no_grad()
def by_hand(encoder: Any, picture: np.ndarray, question: str) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """Returns what enters the merger or projector, the hidden states behind each layer, and where vision ends."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    prompt = encoder.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    multimodal, config = encoder.model.model, encoder.model.config
    entering: list[torch.Tensor] = []
    if encoder.family != "llava_onevision":
        hook = multimodal.visual.merger.register_forward_pre_hook(lambda _, given: entering.append(given[0]))
        inputs = encoder.processor(text=[prompt], images=[picture], do_resize=False, return_tensors="pt")
        states = encoder.model(**inputs, output_hidden_states=True).hidden_states
        hook.remove()
        visual = (inputs["input_ids"][0] == config.image_token_id).nonzero()
        return entering[0], [state[0] for state in states], int(visual.max())
    inputs = encoder.processor(text=[prompt], images=[picture], return_tensors="pt")
    tower = multimodal.vision_tower(inputs["pixel_values"][0, :1], output_hidden_states=True)
    before = tower.hidden_states[config.vision_feature_layer][0]
    seen = torch.cat([multimodal.multi_modal_projector(before), multimodal.image_newline[None]])
    words = [encoder.processor.tokenizer(part)["input_ids"] for part in prompt.split(encoder.processor.image_token)]
    embed = multimodal.language_model.embed_tokens
    whole = torch.cat([embed(torch.tensor(words[0])), seen, embed(torch.tensor(words[1]))])
    states = multimodal.language_model(inputs_embeds=whole[None], output_hidden_states=True).hidden_states
    return before, [state[0] for state in states], len(words[0]) + len(before) - 1


def test_they_are_those_of_transformers_in_batches_too(model: Any) -> None:
    named = layers(model)[:-1]  # behind the last one transformers puts the final norm
    points = [
        "vit.pre_merge@mean",
        *(f"{name}@{readout}" for name in named for readout in ("last_vision", "last_query")),
    ]
    pictures = [questions.picture(number, SIDES[model.family]) for number in range(2)]
    together = model.forward(model.preprocess([each[np.newaxis] for each in pictures], "image", ASKED), points)
    for number, (picture, question) in enumerate(zip(pictures, ASKED, strict=True)):
        before, states, end_of_vision = by_hand(model, picture, question)
        alone = model.forward(model.preprocess([picture[np.newaxis]], "image", [question]), points)
        expected = {"vit.pre_merge@mean": before.mean(0)}
        for depth, name in enumerate(named, start=1):
            expected |= {f"{name}@last_vision": states[depth][end_of_vision], f"{name}@last_query": states[depth][-1]}
        for point in points:
            for found in (alone[point][0][0], together[point][number][0]):
                torch.testing.assert_close(found, expected[point], rtol=1e-3, atol=1e-4)
