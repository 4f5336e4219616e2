"""The prompt to each sample, with the sample's own question in it."""

from collections.abc import Mapping
from typing import Any

from foresight_cache.errors import BadSample

QUESTION = "{question}"
"""Placeholder in a prompt for the question of each sample."""


def render_prompt(prompt: str, annotations: Mapping[str, Any]) -> str:
    """Returns the prompt to a sample with these annotations. Raises `BadSample` where it has no question to put there.

    >>> render_prompt("Answer briefly: {question}", {"qa": {"question": "Is there a dog?"}})
    'Answer briefly: Is there a dog?'
    >>> render_prompt("Describe the image.", {})
    'Describe the image.'
    """
    if QUESTION not in prompt:
        return prompt
    answered = annotations.get("qa")
    question = answered.get("question") if isinstance(answered, Mapping) else None
    if not isinstance(question, str) or not question.strip():
        raise BadSample(f"the sample has no question, which the prompt {prompt!r} asks for")
    return prompt.replace(QUESTION, question)
