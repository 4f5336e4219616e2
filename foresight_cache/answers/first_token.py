"""The first token of an answer: how likely it begins with one word or another."""

from collections.abc import Sequence
from typing import Any

import torch

from foresight_cache.errors import UsageError

MOST_LIKELY = 20
"""Tokens of the first step that are kept with their log-probabilities."""


def word_tokens(tokenizer: Any, words: Sequence[str]) -> list[tuple[int, ...]]:
    """Returns for each word the ids of the tokens with which it begins, in any of its usual spellings.

    These are in lower case, with a capital, in capitals, each with a space before it or not. A token that begins
    several of the words tells nothing and is left out, so that a word may have none.
    """
    found = [_beginnings(tokenizer, word) for word in words]
    shared = {
        token for place, own in enumerate(found) for token in own if any(token in other for other in found[:place])
    }
    return [tuple(sorted(own - shared)) for own in found]


def choice_tokens(tokenizer: Any, choices: Sequence[str]) -> list[tuple[int, ...]]:
    """Returns what `word_tokens` does. Raises `UsageError` for a choice that is not told apart by its first token."""
    found = word_tokens(tokenizer, choices)
    for choice, tokens in zip(choices, found, strict=True):
        if not tokens:
            raise UsageError(
                f"--choices {','.join(choices)}: {choice!r} begins with the same tokens as another of them; name "
                "answers that begin differently, or leave --choices out"
            )
    return found


def probability_of(log_probabilities_V: torch.Tensor, tokens: Sequence[int]) -> float | None:
    """Returns the probability that one of these tokens comes next; None where there are none."""
    return float(log_probabilities_V[list(tokens)].exp().sum()) if tokens else None


def entropy_of(log_probabilities_BV: torch.Tensor) -> torch.Tensor:
    """Returns the entropy in nats of each distribution over tokens, [B]."""
    entropy_B: torch.Tensor = torch.special.entr(log_probabilities_BV.exp()).sum(-1)
    return entropy_B


def _beginnings(tokenizer: Any, word: str) -> set[int]:
    spellings = {
        form for cased in (word.lower(), word.capitalize(), word.upper(), word) for form in (cased, f" {cased}")
    }
    firsts = {tokenizer(form, add_special_tokens=False)["input_ids"][0] for form in spellings}
    texts = {token: tokenizer.decode([token]).strip().lower() for token in firsts}
    return {token for token, text in texts.items() if text and word.lower().startswith(text)}
