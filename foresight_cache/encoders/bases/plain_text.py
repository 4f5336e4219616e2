"""Text that somebody else wrote: whether a model's tokenizer and processor take all of it as plain text."""

from collections.abc import Iterable, Mapping
from typing import Any


def reserved_marks(processor: Any, visual_ids: Iterable[int]) -> dict[str, bool]:
    """Returns the texts that are more than text to a processor, each with whether it stands for an image or a clip.

    These are the tokenizer's special tokens, the tokens with `visual_ids`, and what the processor replaces.
    """
    tokenizer = processor.tokenizer
    marks = {token.content: False for token in tokenizer.added_tokens_decoder.values() if token.special}
    replaced = [text for name, text in vars(processor).items() if name.endswith("_token")]
    visual = dict.fromkeys([*replaced, *tokenizer.convert_ids_to_tokens(list(visual_ids))], True)
    return {mark: standing for mark, standing in {**marks, **visual}.items() if isinstance(mark, str) and mark.strip()}


def flaw(text: str, tokenizer: Any, marks: Mapping[str, bool], most_tokens: int) -> str | None:
    """Returns why a text cannot be given to a model as plain text, as part of a message; None where it can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair in it, which is no character; write it in UTF-8"
    if found := sorted((text.index(mark), -len(mark), mark) for mark in marks if mark in text):
        return _what_it_is(found[0][2], marks)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) > most_tokens:
        return f"has {len(ids):,} tokens, and the model takes {most_tokens:,} in all; shorten it"
    # A tokenizer may know its marks in other spellings as well, as without regard to case.
    reserved = {
        int(number): mark for mark, number in zip(marks, tokenizer.convert_tokens_to_ids(list(marks)), strict=True)
    }
    known = next((reserved[number] for number in ids if number in reserved and number != tokenizer.unk_token_id), None)
    return _what_it_is(known, marks) if known else None


def _what_it_is(mark: str, marks: Mapping[str, bool]) -> str:
    standing = "stands for the image or clip itself" if marks[mark] else "is a mark of the model's own and no text"
    return f"has {mark!r} in it, which {standing}; take it out"
