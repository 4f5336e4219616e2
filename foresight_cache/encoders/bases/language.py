"""What vision-language models share: the prompt, and where visual tokens and the question end in its sequence."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from jinja2 import TemplateError
from torch import nn

from foresight_cache import records
from foresight_cache.encoders import PromptMedia, Tap
from foresight_cache.encoders.bases.transformers_encoder import Hidden, TransformersEncoder
from foresight_cache.encoders.weights import loading
from foresight_cache.errors import ModelError, UsageError
from foresight_cache.samples import Grid, Media

FRAMES_PER_SECOND = 2.0
"""Rate at which clips are taken to be sampled, which timestamps and temporal positions follow from."""

IMAGE_SETTINGS = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_convert_rgb")
"""Processor settings that a stored value depends on."""


def is_language(tap: Tap) -> bool:
    """Whether a tap is in the language model."""
    return tap.name.startswith("llm.")


class LanguageEncoder(TransformersEncoder):
    """A `...ForConditionalGeneration` with `model.language_model` and a processor with a chat template.

    Inputs have, beside what the vision tower takes, `input_ids` and `attention_mask` [B, L], padded on the right.
    """

    image_settings: tuple[str, ...] = IMAGE_SETTINGS
    takes_prompt = True
    kept_on_host = frozenset({"images"})

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self._cached_turn = lru_cache(maxsize=4096)(self._apply_chat_template)
        if self.model is not None:
            self._prompt_tokens = {media: self._checked_prompt(media) for media in self.media}

    @staticmethod
    def tapped_module(model: nn.Module) -> nn.Module:
        inner = model.model
        assert isinstance(inner, nn.Module)  # noqa: S101 - so it is in all of transformers
        return inner

    @classmethod
    def leave_out_untapped(cls, model: nn.Module, deepest: str) -> None:
        loading.leave_out(model, "lm_head")
        if deepest.startswith("vit."):
            loading.leave_out(cls.tapped_module(model), "language_model")

    @abstractmethod
    def merged_grids(self, inputs: Mapping[str, torch.Tensor]) -> list[Grid]:
        """The grid of the visual tokens of each image and clip in the language model."""

    @abstractmethod
    def vision_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """As `raster_tokens`, of a tap in the vision tower."""

    def identity(self) -> Mapping[str, Any]:
        video = getattr(self.processor, "video_processor", None) if "clip" in self.media else None
        clips = {"video_processor": loading.processor_settings(video, self.image_settings)} if video else {}
        return {
            **super().identity(),
            "prompt": self.options.prompt,
            "chat_template_digest": records.digest(self.processor.chat_template),
            "prompt_tokens_digest": records.digest(self._prompt_tokens),
            "image_processor": loading.processor_settings(self.processor.image_processor, self.image_settings),
            **clips,
        }

    def raster_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        if not is_language(tap):
            return self.vision_tokens(tap, hidden, inputs)
        counts = [grid.tokens for grid in self.merged_grids(inputs)]
        visual = self.is_visual(inputs["input_ids"])
        images = inputs["images"].tolist() if "images" in inputs else [1] * len(visual)
        places = visual_positions(visual, counts, images).to(hidden.device, non_blocking=True)
        return list(torch.split(hidden.flatten(0, 1)[places], counts))

    def last_query(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """Raises `UsageError` where the inputs were made without the user's words."""
        visual, attended = self.is_visual(inputs["input_ids"]), inputs["attention_mask"].bool()
        last = attended.sum(dim=1) - 1
        if visual[torch.arange(len(visual)), last].any():
            raise UsageError(f"{tap.name}@last_query needs inputs with texts; the prompt ends with the visual tokens")
        rows = torch.arange(len(last), device=hidden.device)
        return list(torch.split(hidden[rows, last.to(hidden.device)], 1))

    def is_visual(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Where the tokens of images and clips stand, by their ids [B, L]."""
        first, *others = sorted(self.visual_ids())
        visual = input_ids == first
        for other in others:  # a tensor of ids would have to be copied to the device first
            visual = visual | (input_ids == other)
        return visual

    def visual_ids(self) -> set[int]:
        """Ids that stand for an image's or a clip's tokens."""
        ids = (getattr(self.config, f"{kind}_token_id", None) for kind in ("image", "video"))
        return {int(number) for number in ids if number is not None}

    def render_turn(self, media: Media, text: str | None, count: int = 1) -> str:
        """The user turn of the model's own chat template with the media, then the text; the prompt without one."""
        return self._cached_turn(media, self.options.prompt if text is None else text, count)

    def token_ids(self, text: str) -> list[int]:
        """As the model's processor makes them: what a template has already begun does not begin twice."""
        tokenizer = self.processor.tokenizer
        begun = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
        ids: list[int] = tokenizer(text, add_special_tokens=not begun)["input_ids"]
        return ids

    def check_media(self, clips: Sequence[Any], media: PromptMedia) -> None:
        """Raises `UsageError` for media that the family does not take and for sizes that are not possible."""
        if media not in (*self.media, "images"):
            raise UsageError(f"{self.family} takes images only; extract clips with a family that has a video path")
        if media == "image" and any(len(clip) != 1 for clip in clips):
            raise UsageError("an image has exactly one frame; preprocess several frames as a clip")
        for clip in clips:
            self.grid("patch", 1 if media == "images" else len(clip), *clip.shape[1:3])

    def _apply_chat_template(self, media: Media, text: str, count: int) -> str:
        kind = "image" if media == "image" else "video"
        turn = {"role": "user", "content": [*[{"type": kind}] * count, {"type": "text", "text": text}]}
        try:
            made: str = self.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
        except (ValueError, TemplateError) as error:
            raise ModelError(f"the chat template of this {self.family} cannot be used: {error}") from error
        return made

    def _checked_prompt(self, media: Media) -> list[int]:
        """Token ids of the prompt, with one placeholder. Raises `ModelError` where it has none."""
        ids = self.token_ids(self.render_turn(media, None))
        kind = "image" if media == "image" else "video"
        placeholder = self.placeholder_id(media)
        if placeholder not in ids:
            raise ModelError(
                f"the prompt of this {self.family} has no {kind} token {placeholder}: "
                f"its tokenizer or its chat template is not the model's own"
            )
        return ids

    def placeholder_id(self, media: Media) -> int:
        """Id of the token that the chat template has for an image or a clip."""
        return int(getattr(self.config, "image_token_id" if media == "image" else "video_token_id"))


def language_taps(width: int, layers: int) -> tuple[Tap, ...]:
    """Taps of a decoder with `layers` and a final norm."""

    def tap(name: str, module: str, side: Any = "output") -> Tap:
        return Tap(name=name, module=f"language_model.{module}", side=side, level="merged", width=width)

    return (
        tap("llm.embed", "layers.0", "input"),
        *(tap(f"llm.layer_{number + 1:02d}", f"layers.{number}") for number in range(layers)),
        tap("llm.final_norm", "norm"),
    )


def visual_positions(visual: torch.Tensor, counts: Sequence[int], images: Sequence[int]) -> torch.Tensor:
    """Where the first `counts` visual tokens of each image stand in the flattened sequences, one row after another.

    `images` says how many there are in each row; those of a row take equal shares of its visual tokens.

    >>> visual = torch.tensor([[False, True, True, True], [True, False, True, False]])
    >>> visual_positions(visual, [2, 2], [1, 1]).tolist(), visual_positions(visual, [2, 1, 1], [1, 2]).tolist()
    ([1, 2, 4, 6], [1, 2, 4, 6])
    """
    starts = range(0, visual.numel(), visual.shape[1])
    remaining = iter(counts)
    return torch.cat(
        [
            share[: next(remaining)] + start
            for row, number, start in zip(visual, images, starts, strict=True)
            for share in row.nonzero()[:, 0].chunk(number)
        ]
    )


def end_at_last_visual(
    inputs: Mapping[str, torch.Tensor], visual: torch.Tensor, padding: int
) -> dict[str, torch.Tensor]:
    """Sequences that end at the last visual token of each row; the tokens there are in `visual`.

    >>> ids = torch.tensor([[5, 9, 9, 6], [9, 5, 6, 7]])
    >>> made = end_at_last_visual({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids == 9, padding=0)
    >>> made["input_ids"].tolist(), made["attention_mask"].tolist()
    ([[5, 9, 9], [9, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    """
    places = torch.arange(visual.shape[1])
    ends = (visual * (places + 1)).amax(dim=1, keepdim=True)
    kept = places < ends
    length = int(ends.max())
    made = dict(inputs)
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in made:
            filler = padding if name == "input_ids" else 0
            made[name] = made[name].masked_fill(~kept, filler)[:, :length]
    return made
