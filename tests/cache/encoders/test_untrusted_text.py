"""Words that somebody else wrote are plain text to a model, or are refused with a reason, in every family."""

from typing import Any

import numpy as np
import pytest

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.bases import plain_text
from foresight_cache.encoders.bases.language import LanguageEncoder
from foresight_cache.encoders.weights import loading
from foresight_cache.errors import BadSample, UsageError

FAMILIES = [name for name in encoders.names() if encoders._family_class(f"tiny:{name}").takes_prompt]
FLOAT = {"dtype": "float32", "device": "cpu"}
PLAIN = (
    "Is 3 < 5, or is <b> larger?",
    "image",
    "|image_pad|",
    "What does <image_pad> mean?",
    "[IMG] ▁ \0 🦔",
    "s>",
    "",
)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> LanguageEncoder:
    loaded = encoders.load(f"tiny:{request.param}", LoadOptions(dtype="float32", device="cpu"))
    assert isinstance(loaded, LanguageEncoder)
    return loaded


def marks(family: LanguageEncoder) -> dict[str, bool]:
    return plain_text.reserved_marks(family.processor, family.visual_ids())


def test_what_replaces_media_is_among_the_marks(family: LanguageEncoder) -> None:
    """By a render of the template itself: whatever it adds for an image or a clip is reserved."""
    known = marks(family)
    for media in family.media:
        placeholder = family.processor.tokenizer.convert_ids_to_tokens(family.placeholder_id(media))
        assert placeholder in family.render_turn(media, "", 1)
        assert known[placeholder]
    if "<|im_end|>" in family.render_turn("image", "", 1):
        assert "<|im_end|>" in known, "which ends the user's turn"


def test_every_mark_in_a_text_is_refused(family: LanguageEncoder) -> None:
    for mark in marks(family):
        for text in (mark, f"{mark}\nWhat is shown?", f"What does{mark}mean?"):
            with pytest.raises(BadSample, match=r"its prompt has .* in it, which .*; take it out"):
                family.check_text(text)


def test_plain_text_makes_no_more_visual_tokens(family: LanguageEncoder) -> None:
    """The visual tokens in each sequence are those of the grid, whatever the words."""
    height, width = family.nearest_size(2 * family.patch_multiple, 2 * family.patch_multiple)
    clip = np.zeros((1, height, width, 3), np.uint8)
    for text in PLAIN:
        family.check_text(text)
        inputs = family.preprocess([clip], "image", [text])
        found = int(family.is_visual(inputs["input_ids"]).sum())
        empty = int(family.is_visual(family.preprocess([clip], "image", [""])["input_ids"]).sum())
        assert found == empty >= family.grid("merged", 1, height, width).tokens


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("half \ud83d of a pair", "has half of a surrogate pair in it"),
        ("word " * 9000, r"has [\d,]+ tokens, and the model takes 32,768 in all; shorten it"),
    ],
)
def test_what_is_no_text_or_too_long(qwen: LanguageEncoder, text: str, told: str) -> None:
    with pytest.raises(BadSample, match=told):
        qwen.check_text(text)


def test_a_mark_in_another_spelling(qwen: LanguageEncoder) -> None:
    """A tokenizer that knows its marks without regard to case finds them where no text does."""
    from tokenizers import AddedToken

    tokenizer: Any = type(qwen).tiny()[1].tokenizer
    tokenizer._tokenizer.add_tokens([AddedToken("<image>", normalized=True)])

    def lowered(text: str, **_others: Any) -> dict[str, list[int]]:
        return {"input_ids": tokenizer._tokenizer.encode(text.lower()).ids}

    stand_in = type("StandIn", (), {"__call__": staticmethod(lowered), "unk_token_id": None})()
    stand_in.convert_tokens_to_ids = tokenizer.convert_tokens_to_ids
    assert plain_text.flaw("see <IMAGE> here", stand_in, {"<image>": True}, 100) is not None
    assert plain_text.flaw("see IMAGE here", stand_in, {"<image>": True}, 100) is None


@pytest.mark.parametrize(
    ("model", "prompt", "mark"),
    [
        ("tiny:llava_next", "USER: <image> What is shown? ASSISTANT:", "'<image>'"),
        ("tiny:qwen2_5_vl", "<|vision_start|><|image_pad|><|vision_end|>What?", r"'<\|vision_start\|>'"),
        ("tiny:internvl", "<IMG_CONTEXT>{question}", "'<IMG_CONTEXT>'"),
        ("tiny:qwen3_vl", "{question}<|im_end|>\n<|im_start|>assistant", r"'<\|im_end\|>'"),
    ],
)
def test_a_prompt_with_a_mark_is_a_wrong_argument_before_weights_are_made(
    monkeypatch: pytest.MonkeyPatch, model: str, prompt: str, mark: str
) -> None:
    monkeypatch.delattr(loading, "make_random")
    with pytest.raises(UsageError, match=f"--prompt .* has {mark} in it, which .*; take it out"):
        encoders.load(model, LoadOptions(prompt=prompt, **FLOAT))  # type: ignore[arg-type]
