"""Answers of a frozen model to a batch of prompts, greedily, with what it found likely at each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from foresight_cache.answer_lines import CUT
from foresight_cache.answers.first_token import MOST_LIKELY, choice_tokens, entropy_of, probability_of, word_tokens
from foresight_cache.answers.options import AnswerOptions
from foresight_cache.encoders.bases.language import LanguageEncoder
from foresight_cache.errors import ModelError

_DIGITS = 6
"""Decimals of stored numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What a model answered to one prompt."""

    answer: str | None
    failure: str | None
    """Why there is no answer."""
    finish: str | None
    """`stop` where the model ended it, `length` where the limit of tokens did, `choice` where it was to choose."""
    answer_tokens: int
    """Tokens of the answer, with the one that ends it."""
    prompt_tokens: int
    first_token: Mapping[str, Any]
    mean_log_probability: float | None
    """Mean over the answer's tokens."""
    mean_entropy: float | None
    """Mean entropy, in nats, of the distributions from which they were taken."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Generator:
    """A model with the settings of its answers: the likeliest token at each step, whatever its files recommend."""

    def __init__(self, encoder: LanguageEncoder, options: AnswerOptions) -> None:
        """Raises `UsageError` for choices that do not differ in their first token."""
        self._encoder, self._options = encoder, options
        self._tokenizer = encoder.processor.tokenizer
        self.stops = _stops(encoder)
        """Ids of the tokens that end an answer."""
        self._yes, self._no = word_tokens(self._tokenizer, ("yes", "no"))
        self._choices = choice_tokens(self._tokenizer, options.choices) if options.choices else []
        # A model's own settings, such as a penalty for repetitions, would go before those that are left open.
        encoder.model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=1 if options.choices else options.max_new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(self.stops),
            pad_token_id=encoder.padding_id,
        )

    def identity(self) -> dict[str, Any]:
        """Returns all that decides an answer beside the model and its input, as JSON."""
        return {
            **{"decoding": "greedy", "max_new_tokens": self._options.max_new_tokens},
            **{"choices": list(self._options.choices), "choice_tokens": [list(own) for own in self._choices]},
            **{"stop_tokens": list(self.stops), "yes_tokens": list(self._yes), "no_tokens": list(self._no)},
        }

    @torch.inference_mode()
    def answers(self, inputs: Mapping[str, torch.Tensor]) -> list[Generated]:
        """Returns the answers to prompts of one length, as `LanguageEncoder.preprocess` makes them with texts.

        Raises `ModelError` for prompts of several lengths, whose padding would change numbers.
        """
        if not bool(inputs["attention_mask"].all()):
            raise ModelError("prompts of several lengths were batched; answers are made for those of one length")
        record = _Record()
        given = self._encoder.generation_inputs(inputs)
        made = self._encoder.model.generate(**given, logits_processor=LogitsProcessorList([record]))
        new_BT = made[:, given["input_ids"].shape[1] if "input_ids" in given else 0 :].cpu()
        steps = record.steps()
        length = inputs["input_ids"].shape[1]
        return [self._generated(row.tolist(), steps, number, length) for number, row in enumerate(new_BT)]

    def _generated(self, tokens: Sequence[int], steps: "_Steps", number: int, prompt_tokens: int) -> Generated:
        end = next((place for place, token in enumerate(tokens) if token in self.stops), None)
        count = len(tokens) if end is None else end + 1
        log_probability, entropy = (
            float(values[number, :count].mean()) for values in (steps.best_BT, steps.entropy_BT)
        )
        if not bool(torch.isfinite(steps.best_BT[number, :count]).all()):
            return _failed("the model's logits are not finite numbers", prompt_tokens)
        first_V = steps.first_BV[number]
        text, finish = self._text(tokens[:count], first_V, cut=end is None)
        return Generated(
            answer=text,
            failure=None,
            finish=finish,
            answer_tokens=count,
            prompt_tokens=prompt_tokens,
            first_token=self._first_token(first_V, float(steps.entropy_BT[number, 0])),
            mean_log_probability=round(log_probability, _DIGITS),
            mean_entropy=round(entropy, _DIGITS),
        )

    def _text(self, tokens: Sequence[int], first_V: torch.Tensor, *, cut: bool) -> tuple[str, str]:
        if self._choices:
            likely = [probability_of(first_V, own) or 0.0 for own in self._choices]
            return self._options.choices[likely.index(max(likely))], "choice"
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip(), CUT if cut else "stop"

    def _first_token(self, first_V: torch.Tensor, entropy: float) -> dict[str, Any]:
        top = first_V.topk(min(MOST_LIKELY, len(first_V)))
        likely = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return {
            **{"p_yes": _rounded(probability_of(first_V, self._yes)), "entropy": round(entropy, _DIGITS)},
            "p_no": _rounded(probability_of(first_V, self._no)),
            "top": [
                {"id": token, "text": self._tokenizer.decode([token]), "log_probability": round(value, _DIGITS)}
                for token, value in likely
            ],
        }


@dataclass(frozen=True, slots=True)
class _Steps:
    """What the model found likely while it answered, float32."""

    first_BV: torch.Tensor
    """Log-probabilities of all tokens at the first step."""
    best_BT: torch.Tensor
    """Log-probability of the likeliest token at each step, which is the one that was taken."""
    entropy_BT: torch.Tensor


class _Record(LogitsProcessor):
    """Looks at the logits of each step and leaves them as they are; to keep them all would take gigabytes."""

    def __init__(self) -> None:
        self._first: torch.Tensor | None = None
        self._best: list[torch.Tensor] = []
        self._entropy: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        log_probabilities_BV = scores.float().log_softmax(-1)
        if self._first is None:
            self._first = log_probabilities_BV.cpu()
        self._best.append(log_probabilities_BV.amax(-1))
        self._entropy.append(entropy_of(log_probabilities_BV))
        return scores

    def steps(self) -> _Steps:
        assert self._first is not None, "generation takes at least one step"  # noqa: S101
        return _Steps(self._first, torch.stack(self._best, 1).cpu(), torch.stack(self._entropy, 1).cpu())


def failed(reason: str) -> Generated:
    """Returns what stands in the place of an answer to a prompt that was not asked."""
    return _failed(reason, 0)


def _failed(reason: str, prompt_tokens: int) -> Generated:
    return Generated(
        answer=None,
        failure=reason,
        finish=None,
        answer_tokens=0,
        prompt_tokens=prompt_tokens,
        first_token={},
        mean_log_probability=None,
        mean_entropy=None,
    )


def _stops(encoder: LanguageEncoder) -> tuple[int, ...]:
    """Returns the ids that end an answer, by the model's own settings and its tokenizer. Raises `ModelError`."""
    own = getattr(encoder.model.generation_config, "eos_token_id", None)
    ids = {*(own if isinstance(own, list | tuple) else [own]), encoder.processor.tokenizer.eos_token_id} - {None}
    if not ids:
        raise ModelError(f"neither the model's settings nor its tokenizer say what ends an answer of {encoder.family}")
    return tuple(sorted(int(token) for token in ids))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
