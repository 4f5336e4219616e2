"""The choices of answering, valid in themselves."""

from dataclasses import dataclass, field
from typing import Annotated

from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.lists import split_list
from foresight_cache.option_help import Flag


def _choices(text: str) -> tuple[str, ...]:
    return tuple(split_list(text, "--choices")) if text else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerOptions:
    """How an answer is made of what the model says comes next."""

    max_new_tokens: Annotated[
        int, Flag(help="At most so many tokens in an answer; one that this cuts off says so.", at_least=1)
    ] = 200
    choices: Annotated[
        tuple[str, ...],
        Flag(
            help="Answers to choose from, such as yes,no: the one that is likeliest to begin, instead of a free one.",
            parse=_choices,
            default="",
            unset="none, answers are free",
        ),
    ] = field(default=())

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        if self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {self.max_new_tokens}, expected at least 1")
        if len(self.choices) == 1:
            raise UsageError(f"--choices is {self.choices[0]!r}, expected two answers or more, such as yes,no")


@dataclass(frozen=True, kw_only=True, slots=True)
class AskOptions(LoadOptions):
    """Options of loading a model that is asked each sample's own question."""

    prompt: Annotated[
        str, Flag(help="Text of the user turn; {question} stands for the sample's own, which it must then have.")
    ] = "{question}"
