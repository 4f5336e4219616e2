"""A tower for frames of one size, a projector to the language model's width, and a causal language model."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from foresight_cache.encoders import Tap, TapLevel
from foresight_cache.encoders.bases.language import LanguageEncoder, is_language, language_taps
from foresight_cache.encoders.bases.towers import TOWERS, Tower, normalise
from foresight_cache.encoders.bases.transformers_encoder import Hidden
from foresight_cache.encoders.capture.counts import check_total
from foresight_cache.errors import ModelError
from foresight_cache.samples import ClipTimes, Grid, Media


class ProjectedEncoder(LanguageEncoder):
    """A tower that takes one size of frame, a projector, and a language model.

    Inputs of `forward` for B samples with T frames in all: `pixel_values` [T, C, H, W], `frames` [B], `input_ids` and
    `attention_mask` [B, N], right-padded.

    There is one size H = W, that of the tower, which `--size` has to name. An image is one view of that size: the tiles
    that these models cut from larger images are left out, so that tokens are a raster of the whole image.
    """

    kept_on_host = frozenset({"frames", "images", "after_question"})
    tower_path: ClassVar[str] = "vision_tower"
    projector_path: ClassVar[str] = "multi_modal_projector"
    takes_class_token: ClassVar[bool] = False
    """True where the tower's class token may go into the language model as well, which one image then has."""

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.patch_multiple = self._patch
        self.around_raster = (self.class_tokens(self.config), 0)

    @classmethod
    def tower(cls, config: Any) -> Tower:
        """Returns the modules of the vision tower. Raises `ModelError` where they or their tokens are not known."""
        kind, selected = config.vision_config.model_type, config.vision_feature_select_strategy
        if kind not in TOWERS:
            raise ModelError(
                f"{config.model_type} has a vision tower of type {kind!r}, expected one of {', '.join(TOWERS)}"
            )
        if not isinstance(config.vision_feature_layer, int):
            raise ModelError(
                f"{config.model_type} joins the features of layers {config.vision_feature_layer}, expected those of one"
            )
        usable = _usable_selections(TOWERS[kind].leading, takes_class_token=cls.takes_class_token)
        if selected not in usable:
            raise ModelError(
                f"{config.model_type} selects the features {selected!r} of a tower with {TOWERS[kind].leading} class "
                f"tokens (vision_feature_select_strategy), where {' or '.join(map(repr, usable))} is supported"
            )
        return TOWERS[kind]

    @classmethod
    def class_tokens(cls, config: Any) -> int:
        """Returns how many class tokens of a frame go into the language model, before its patches."""
        return cls.tower(config).leading if config.vision_feature_select_strategy == "full" else 0

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        vision, text = config.vision_config, config.text_config
        prefix = f"{cls.tower_path}."
        block_taps = cls.tower(config).block_taps(vision.num_hidden_layers, vision.hidden_size, prefix=prefix)
        projected = Tap(
            name="vit.post_merge",
            module=cls.projector_path,
            side="output",
            level="merged",
            width=text.hidden_size,
            leading=cls.class_tokens(config),
        )
        return (
            *block_taps,
            cls.pre_merge_tap(config, block_taps),
            projected,
            *language_taps(text.hidden_size, text.num_hidden_layers, cls.language_path),
        )

    @classmethod
    def pre_merge_tap(cls, config: Any, block_taps: Sequence[Tap]) -> Tap:  # noqa: ARG003 - other families look there
        """Returns the tap of what enters the projector; `block_taps` are those of the tower before it."""
        return Tap(
            name="vit.pre_merge",
            module=cls.projector_path,
            side="input",
            level="patch",
            width=config.vision_config.hidden_size,
            leading=cls.class_tokens(config),
        )

    @abstractmethod
    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:
        """Returns the placeholder that the chat template has, and what stands for it in the sequence."""

    @abstractmethod
    def merged_grid_side(self, frames: int) -> int:
        """Returns the rows, which are as many as the columns, of one frame's tokens in the language model."""

    @abstractmethod
    def visual_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Computes, by the model's own modules, what replaces the visual tokens of all samples, [sum of N, D]."""

    def native_size(self, height: int, width: int) -> tuple[int, int]:  # noqa: ARG002 - there is one
        return self._size, self._size

    nearest_size = native_size

    def max_tokens(self, level: TapLevel, frames: int) -> int:
        return self.grid(level, frames, self._size, self._size).tokens

    @property
    def max_pixels(self) -> int:
        return self._size**2

    def size_rule(self, height: int, width: int) -> str:  # noqa: ARG002 - there is one size
        return f"its vision tower takes {self._size} × {self._size} pixels and no other size; use --size {self._size}"

    def possible_grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:  # noqa: ARG002 - see above
        side = self._size // self._patch if level == "patch" else self.merged_grid_side(frames)
        return Grid(frames, side, side)

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        return height // self._patch * self._patch, width // self._patch * self._patch

    def prompt_inputs(
        self,
        clips: Sequence[np.ndarray],
        media: Media,
        texts: Sequence[str],
        counts: Sequence[int],
        times: Sequence[ClipTimes | None] | None = None,  # noqa: ARG002 - it is told of none
    ) -> dict[str, torch.Tensor]:
        firsts = np.cumsum([0, *counts[:-1]])
        rows = [
            self._prompt_ids(len(clips[first]), media, text, count)
            for first, text, count in zip(firsts, texts, counts, strict=True)
        ]
        length = max(map(len, rows))
        return {
            "pixel_values": torch.cat([normalise(clip, self._pixel_processor(len(clip), media)) for clip in clips]),
            "frames": torch.tensor([len(clip) for clip in clips]),
            "input_ids": torch.tensor([[*row, *[self.padding_id] * (length - len(row))] for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows]),
        }

    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:
        features = self._checked_features(inputs)
        if any(is_language(tap) for tap in taps):
            embedded = self._embedded(inputs, features)
            self._decoder(inputs_embeds=embedded, attention_mask=inputs["attention_mask"], use_cache=False)

    def generation_inputs(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        there = self.on_device(inputs)
        embedded = self._embedded(there, self._checked_features(there))
        return {"inputs_embeds": embedded, "attention_mask": there["attention_mask"]}

    def _checked_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        features = self.visual_features(inputs)
        check_total(len(features), sum(self.visual_counts(inputs)), "what enters the language model")
        return features

    def _embedded(self, inputs: Mapping[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
        """Returns what enters the language model, [B, N, D]: words, with visual features in their places."""
        embedded: torch.Tensor = self._decoder.embed_tokens(inputs["input_ids"])
        visual = self.is_visual(inputs["input_ids"]).to(embedded.device)
        return embedded.masked_scatter(visual[..., None], features.to(embedded))

    @property
    def _decoder(self) -> Any:
        return self.tapped_module(self.model).get_submodule(self.language_path)

    def frame_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        return [int(count) for count in inputs["frames"]]

    def token_grids(self, level: TapLevel, inputs: Mapping[str, torch.Tensor]) -> list[Grid]:
        return [self.possible_grid(level, t, self._size, self._size) for t in self.frame_counts(inputs)]

    def vision_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        return self.tower(self.config).raster_tokens(tap, hidden, self.frame_counts(inputs))

    def _prompt_ids(self, frames: int, media: Media, text: str, count: int) -> list[int]:
        kind = self.media_in_prompt(media, frames)
        placeholder, tokens = self.placeholder_tokens(kind, frames)
        return self.token_ids(self.render_turn(kind, text, count).replace(placeholder, tokens, count))

    def _pixel_processor(self, frames: int, media: Media) -> Any:
        """Returns the processor that scales and normalises a sample's frames."""
        is_image = self.media_in_prompt(media, frames) == "image"
        return self.processor.image_processor if is_image else self.processor.video_processor

    def media_in_prompt(self, media: Media, frames: int) -> Media:  # noqa: ARG002 - other families look at frames
        """Returns the media that the prompt speaks of for a sample, which may be an image for a clip of one frame."""
        return media

    @cached_property
    def _size(self) -> int:
        return _square_side(self.config.vision_config.image_size)

    @cached_property
    def _patch(self) -> int:
        return _square_side(self.config.vision_config.patch_size)


def _usable_selections(class_tokens: int, *, takes_class_token: bool) -> tuple[str, ...]:
    """Returns the strategies that leave patches whole; `default` drops the first token, `full` none."""
    if not class_tokens:
        return ("full",)
    return ("default", "full") if takes_class_token else ("default",)


def _square_side(size: Any) -> int:
    """Returns the side of a square that a configuration gives as one number or as two, which must not differ."""
    sides = {int(side) for side in size} if isinstance(size, list | tuple) else {int(size)}
    if len(sides) != 1:
        raise ModelError(f"a vision tower for inputs of {size} pixels or patches is not square, which is not supported")
    return sides.pop()
