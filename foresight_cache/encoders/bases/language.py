"""Base of vision-language models: the prompt, and where visual tokens and the question end in its sequence."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jinja2 import TemplateError
from torch import nn

from foresight_cache import records
from foresight_cache.encoders import PromptMedia, Tap
from foresight_cache.encoders.bases import prompt_tokens
from foresight_cache.encoders.bases.plain_text import flaw, reserved_marks
from foresight_cache.encoders.bases.prompts import QUESTION
from foresight_cache.encoders.bases.transformers_encoder import Hidden, TransformersEncoder
from foresight_cache.encoders.weights import loading, model_files
from foresight_cache.encoders.weights.accounting import Rules
from foresight_cache.errors import BadSample, ModelError, UsageError
from foresight_cache.points import Point
from foresight_cache.samples import ClipTimes, Media


def is_language(tap: Tap) -> bool:
    """Returns True for a tap in the language model."""
    return tap.name.startswith("llm.")


class LanguageEncoder(TransformersEncoder):
    """A `...ForConditionalGeneration` with a language model in its `model` and a processor with a chat template.

    Inputs have, beside what the vision tower takes, `input_ids` and `attention_mask` [B, N], padded on the right. Where
    prompts have several images, `images` [B] says how many.
    """

    processor_class: ClassVar[str]
    """Name of the processor's class in transformers."""
    pixel_settings: ClassVar[tuple[str, ...]] = loading.PIXEL_SETTINGS
    """Settings of the image and video processor that a stored value depends on."""
    language_path: ClassVar[str] = "language_model"
    """Path of the language model in the multimodal one."""
    around_raster: tuple[int, int] = (0, 0)
    """Tokens among the visual ones of an image or a clip that stand before and after its raster, and are left out."""
    left_out_tensors: ClassVar[Rules] = {
        "pooling head of the vision tower": r"(^|\.)vision_(tower|model)\.(vision_model\.)?head\.",
    }
    knows_halp_vision: ClassVar[bool] = False
    """True where it is known which token HALP's own code takes for one of vision."""
    takes_prompt = True
    kept_on_host = frozenset({"images", "after_question"})

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.render_turn: Callable[[Media, str, int], str] = lru_cache(maxsize=4096)(self._render_turn)
        """Returns the user turn of the model's own chat template with so many images or clips, then the text."""
        self._flaw: Callable[[str], str | None] = lru_cache(maxsize=4096)(self._text_flaw)
        if self.model is not None:
            self._prompt_tokens = {media: self._checked_prompt(media) for media in self.media}

    # What a family says.

    @abstractmethod
    def prompt_inputs(
        self,
        clips: Sequence[np.ndarray],
        media: Media,
        texts: Sequence[str],
        counts: Sequence[int],
        times: Sequence[ClipTimes | None] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Makes the inputs of whole prompts, each with its text and its count of the images or clips, in their order.

        An image is an array [1, H, W, C], a clip [T, H, W, C]; `times` are those of each clip's frames.
        """

    @abstractmethod
    def vision_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """Does what `raster_tokens` does, for a tap in the vision tower."""

    def placeholder_id(self, media: Media) -> int:
        """Returns the id of the token that the chat template has for an image or a clip."""
        return int(self.config.image_token_id if media == "image" else self.config.video_token_id)

    def generation_inputs(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Returns what the model's own `generate` takes, on its device, of what `preprocess` made."""
        there = self.on_device(inputs)
        return {name: tensor for name, tensor in there.items() if name not in self.kept_on_host}

    def visual_ids(self) -> set[int]:
        """Returns the ids that stand for an image's or a clip's tokens in a sequence."""
        return {self.placeholder_id(media) for media in self.media}

    # What follows from it.

    @classmethod
    def load_processor(cls, path: Path) -> Any:
        import transformers

        return model_files.load_processor(getattr(transformers, cls.processor_class), path)

    @classmethod
    def tapped_module(cls, model: nn.Module) -> nn.Module:
        return model.get_submodule("model")

    @classmethod
    def leave_out_untapped(cls, model: nn.Module, deepest: str) -> None:
        loading.leave_out(model, "lm_head")
        if deepest.startswith("vit."):
            loading.leave_out(cls.tapped_module(model), cls.language_path)

    def check_prompt(self) -> None:
        if reason := self._flaw(self.options.prompt):
            raise UsageError(
                f"--prompt {self.options.prompt!r} {reason} (the chat template puts the image in its place)"
            )
        for media in self.media:
            self._checked_prompt(media)

    def check_points(self, points: Sequence[Point]) -> None:
        super().check_points(points)
        for point in points:
            if point.readout == "last_question" and not self.options.prompt.strip():
                raise UsageError(f"{point} is not possible: --prompt is empty and has no question; ask for @last_query")
            if point.readout == "halp_vision" and not self.knows_halp_vision:
                raise UsageError(f"{point} is not possible: it is HALP's token in Qwen's models; ask for @last_vision")

    def check_text(self, text: str) -> None:
        if reason := self._flaw(text):
            raise BadSample(f"its prompt {reason}")

    def identity(self) -> Mapping[str, Any]:
        processors = {"image_processor": self.processor.image_processor}
        if "clip" in self.media:
            processors["video_processor"] = self.processor.video_processor
        return {
            **super().identity(),
            "prompt": self.options.prompt,
            **({"sees_prompt": True} if self.sees_prompt else {}),
            "chat_template_digest": records.digest(self.processor.chat_template),
            "tokenizer_digest": self._tokenizer_digest,
            "prompt_tokens_digest": records.digest(self._prompt_tokens),
            **{name: loading.processor_settings(part, self.pixel_settings) for name, part in processors.items()},
        }

    def preprocess(
        self,
        clips: Sequence[np.ndarray],
        media: PromptMedia,
        texts: Sequence[str] | None = None,
        times: Sequence[ClipTimes | None] | None = None,
    ) -> dict[str, torch.Tensor]:
        self.check_clips(clips, media)
        prompts = [self.options.prompt] * len(clips) if texts is None else texts
        if media == "images":
            counts = [len(clip) for clip in clips]
            frames = [frame[np.newaxis] for clip in clips for frame in clip]
            inputs = self.prompt_inputs(frames, "image", prompts, counts) | {"images": torch.tensor(counts)}
        else:
            inputs = self.prompt_inputs(clips, media, prompts, [1] * len(clips), times)
        self._check_counts(inputs)
        if texts is not None:
            kind: Media = "image" if media == "images" else media
            after = [self._tokens_after_question(self.render_turn(kind, text, 1), text) for text in texts]
            return inputs | {"after_question": torch.tensor(after)}
        if self.sees_prompt:
            return inputs
        return prompt_tokens.end_at_last_visual(inputs, self.is_seen(inputs["input_ids"]), self.padding_id)

    def raster_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        if not is_language(tap):
            return self.vision_tokens(tap, hidden, inputs)
        counts = [grid.tokens for grid in self.token_grids("merged", inputs)]
        visual_BN = self.is_visual(inputs["input_ids"])
        positions = visual_positions(visual_BN, counts, images_in(inputs), self.around_raster[0])
        positions = positions.to(hidden.device, non_blocking=True)
        return list(torch.split(hidden.flatten(0, 1)[positions], counts))

    def text_readout(
        self, readout: str, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]
    ) -> list[torch.Tensor]:
        """Raises `UsageError` where the inputs were made without the user's words."""
        seen_BN, attended_BN = self.is_seen(inputs["input_ids"]), inputs["attention_mask"].bool()
        ends = prompt_tokens.text_ends(seen_BN, attended_BN)
        if any(begin == end for begin, end in ends):
            raise UsageError(f"{tap.name}@{readout} needs inputs with texts; the prompt ends with the visual tokens")
        if readout == "halp_vision":
            places = prompt_tokens.halp_places(self.token_grids("patch", inputs), images_in(inputs), attended_BN)
            return [hidden[row, place : place + 1].clone() for row, place in enumerate(places)]
        after = inputs["after_question"].tolist() if readout == "last_question" else [0] * len(ends)
        if any(count < 0 for count in after):
            raise UsageError(
                f"{tap.name}@{readout} is not possible: the chat template of this {self.family} does not hold the "
                "user's words as they are"
            )
        spans = [
            (begin if readout == "text" else end - count - 1, end - count)
            for (begin, end), count in zip(ends, after, strict=True)
        ]
        return [hidden[row, begin:end].clone() for row, (begin, end) in enumerate(spans)]

    def is_visual(self, ids_BN: torch.Tensor) -> torch.Tensor:
        """Returns the mask [B, N] of the tokens of images and clips in sequences of token ids."""
        return are_any(ids_BN, self.visual_ids())

    def is_seen(self, ids_BN: torch.Tensor) -> torch.Tensor:
        """Returns the mask [B, N] of the tokens that visual ones may see though they stand behind them."""
        return self.is_visual(ids_BN)

    def visual_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        """Returns how many visual tokens of the sequence each image and clip has, with those around its raster."""
        return [grid.tokens + sum(self.around_raster) for grid in self.token_grids("merged", inputs)]

    def _check_counts(self, inputs: Mapping[str, torch.Tensor]) -> None:
        """Raises `ModelError` where a prompt has more or fewer visual tokens than its images' grids."""
        remaining = iter(self.visual_counts(inputs))
        found = self.is_visual(inputs["input_ids"]).sum(dim=1).tolist()
        for number, (count, images) in enumerate(zip(found, images_in(inputs), strict=True), start=1):
            expected = sum(next(remaining) for _ in range(images))
            if count != expected:
                raise ModelError(
                    f"the prompt to number {number} of {len(found)} inputs has {count} visual tokens, expected the "
                    f"{expected} of its grid; processor and configuration of this {self.family} do not fit together"
                )

    @property
    def padding_id(self) -> int:
        """Token id that fills sequences up; the attention mask hides it."""
        return int(self.processor.tokenizer.pad_token_id or 0)

    def token_ids(self, text: str) -> list[int]:
        """Returns token ids as the model's processor makes them: a template's begin token is not added twice."""
        tokenizer = self._counting_tokenizer
        begins = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
        ids: list[int] = tokenizer(text, add_special_tokens=not begins)["input_ids"]
        return ids

    @cached_property
    def _counting_tokenizer(self) -> Any:
        """A tokenizer of its own for single texts.

        A tokenizer keeps in itself whether it pads, so that a text that is tokenized alone would undo the padding of a
        batch that another thread prepares.
        """
        return copy.deepcopy(self.processor.tokenizer)

    @cached_property
    def _tokenizer_digest(self) -> str:
        return loading.tokenizer_digest(self.processor.tokenizer)

    def _text_flaw(self, text: str) -> str | None:
        marks = reserved_marks(self.processor, self.visual_ids())
        return flaw(text, self._counting_tokenizer, marks, self.config.text_config.max_position_embeddings)

    def _tokens_after_question(self, rendered: str, text: str) -> int:
        """Returns how many tokens follow the question, or the user's words where the prompt has no question in it."""
        _, found, rest = self.options.prompt.rpartition(QUESTION)
        question = text.removesuffix(rest) if found else text
        return prompt_tokens.tokens_after(self._counting_tokenizer, rendered, question.rstrip())

    def _render_turn(self, media: Media, text: str, count: int) -> str:
        kind = "image" if media == "image" else "video"
        turn = {"role": "user", "content": [*[{"type": kind}] * count, {"type": "text", "text": text}]}
        try:
            rendered: str = self.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
        except (ValueError, TemplateError) as error:
            raise ModelError(f"the chat template of this {self.family} cannot be used: {error}") from error
        return rendered

    def _checked_prompt(self, media: Media) -> list[int]:
        """Returns token ids of the prompt, with one placeholder. Raises `ModelError` where it has none."""
        ids = self.token_ids(self.render_turn(media, self.options.prompt, 1))
        placeholder = self.placeholder_id(media)
        if (found := ids.count(placeholder)) != 1:
            kind = "image" if media == "image" else "video"
            raise ModelError(
                f"the prompt of this {self.family} has {f'{found} times the' if found else 'no'} {kind} token "
                f"{placeholder}: its tokenizer or its chat template is not the model's own"
            )
        return ids


def language_taps(width: int, layers: int, path: str = LanguageEncoder.language_path) -> tuple[Tap, ...]:
    """Returns the taps of a language model with so many layers and a final norm."""

    def tap(name: str, module: str, side: Any = "output") -> Tap:
        return Tap(name=name, module=f"{path}.{module}", side=side, level="merged", width=width)

    return (
        tap("llm.embed", "layers.0", "input"),
        *(tap(f"llm.layer_{number + 1:02d}", f"layers.{number}") for number in range(layers)),
        tap("llm.final_norm", "norm"),
    )


def are_any(ids_BN: torch.Tensor, wanted: Iterable[int]) -> torch.Tensor:
    """Returns the mask [B, N] of these ids in sequences of token ids.

    >>> are_any(torch.tensor([[5, 9, 6]]), {9, 6}).tolist()
    [[False, True, True]]
    """
    first, *others = sorted(wanted)
    found_BN = ids_BN == first
    for other in others:  # a tensor of ids would have to be copied to the device first
        found_BN = found_BN | (ids_BN == other)
    return found_BN


def images_in(inputs: Mapping[str, torch.Tensor]) -> list[int]:
    """Returns how many images or clips each prompt has."""
    return inputs["images"].tolist() if "images" in inputs else [1] * len(inputs["input_ids"])


def visual_positions(
    visual_BN: torch.Tensor, counts: Sequence[int], images: Sequence[int], skipped: int = 0
) -> torch.Tensor:
    """Returns the positions, in the flattened sequences, of `counts` visual tokens of each image, after `skipped` ones.

    `images` says how many there are in each row; those of a row have equal shares of its visual tokens.

    >>> visual = torch.tensor([[False, True, True, True], [True, False, True, False]])
    >>> visual_positions(visual, [2, 2], [1, 1]).tolist(), visual_positions(visual, [2, 1, 1], [1, 2]).tolist()
    ([1, 2, 4, 6], [1, 2, 4, 6])
    >>> visual_positions(visual, [2, 1], [1, 1], skipped=1).tolist()
    [2, 3, 6]
    """
    starts = range(0, visual_BN.numel(), visual_BN.shape[1])
    remaining = iter(counts)
    return torch.cat(
        [
            share[skipped : skipped + next(remaining)] + start
            for row, number, start in zip(visual_BN, images, starts, strict=True)
            for share in row.nonzero()[:, 0].chunk(number)
        ]
    )
