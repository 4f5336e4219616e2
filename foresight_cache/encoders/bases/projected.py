"""A tower for frames of one size, a projector to the language model's width, and a causal language model."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from foresight_cache.encoders import PromptMedia, Tap, TapLevel
from foresight_cache.encoders.bases.language import LanguageEncoder, end_at_last_visual, is_language, language_taps
from foresight_cache.encoders.bases.towers import TOWERS, Tower, normalise
from foresight_cache.encoders.bases.transformers_encoder import Hidden
from foresight_cache.encoders.weights import model_files
from foresight_cache.errors import ModelError, UsageError
from foresight_cache.samples import Grid, Media


class ProjectedEncoder(LanguageEncoder):
    """Inputs of `forward` for B samples with F frames in all: `pixel_values` [F, 3, S, S], `frames` [B], `input_ids`
    and `attention_mask` [B, L], right-padded.

    There is one size S, that of the tower, which `--size` has to name. An image is one view of that size: the tiles
    that these models cut from larger images are left out, so that tokens are a raster of the whole image.
    """

    processor_class: ClassVar[str]
    kept_on_host = frozenset({"frames", "images"})

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.patch_multiple = self._patch

    @classmethod
    def load_processor(cls, path: Path) -> Any:
        import transformers

        return model_files.load_processor(getattr(transformers, cls.processor_class), path)

    @staticmethod
    def tower(config: Any) -> Tower:
        """Raises `ModelError` for a vision tower whose modules are not known."""
        kind = config.vision_config.model_type
        if kind not in TOWERS:
            raise ModelError(
                f"{config.model_type} has a vision tower of type {kind!r}, expected one of {', '.join(TOWERS)}"
            )
        if not isinstance(config.vision_feature_layer, int):
            raise ModelError(
                f"{config.model_type} joins the features of layers {config.vision_feature_layer}, expected those of one"
            )
        return TOWERS[kind]

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        vision, text = config.vision_config, config.text_config
        block_taps = cls.tower(config).block_taps(vision.num_hidden_layers, vision.hidden_size, prefix="vision_tower.")
        projector = "multi_modal_projector"
        return (
            *block_taps,
            cls.pre_merge_tap(config, block_taps),
            Tap(name="vit.post_merge", module=projector, side="output", level="merged", width=text.hidden_size),
            *language_taps(text.hidden_size, text.num_hidden_layers),
        )

    @classmethod
    def pre_merge_tap(cls, config: Any, block_taps: Sequence[Tap]) -> Tap:  # noqa: ARG003 - other families look there
        """What enters the projector."""
        width = config.vision_config.hidden_size
        return Tap(name="vit.pre_merge", module="multi_modal_projector", side="input", level="patch", width=width)

    @abstractmethod
    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:
        """The placeholder that the chat template has, and what stands for it in the sequence."""

    @abstractmethod
    def merged_grid_side(self, frames: int) -> int:
        """Rows, and columns, of the tokens of one frame in the language model."""

    @abstractmethod
    def visual_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What takes the places of all visual tokens, [sum over samples, D], through the model's own modules."""

    def native_size(self, height: int, width: int) -> tuple[int, int]:  # noqa: ARG002 - there is one
        return self._size, self._size

    nearest_size = native_size

    def max_tokens(self, level: TapLevel, frames: int) -> int:
        return self.grid(level, frames, self._size, self._size).tokens

    @property
    def max_pixels(self) -> int:
        return self._size**2

    def grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:
        if frames < 1 or (height, width) != (self._size, self._size):
            raise UsageError(
                f"size {height} × {width} with {frames} frames is not possible for {self.family}: its vision tower "
                f"takes {self._size} × {self._size} pixels and no other size; use --size {self._size}"
            )
        side = self._size // self._patch if level == "patch" else self.merged_grid_side(frames)
        return Grid(frames, side, side)

    def preprocess(
        self, clips: Sequence[np.ndarray], media: PromptMedia, texts: Sequence[str] | None = None
    ) -> dict[str, torch.Tensor]:
        """Raises `UsageError` for another size than the tower's, and for an image of several frames."""
        self.check_media(clips, media)
        if media == "images":
            counts = list(map(len, clips))
            alone = [frame[np.newaxis] for clip in clips for frame in clip]
            return self._preprocessed(alone, "image", texts, counts) | {"images": torch.tensor(counts)}
        return self._preprocessed(clips, media, texts, [1] * len(clips))

    def _preprocessed(
        self, clips: Sequence[np.ndarray], media: Media, texts: Sequence[str] | None, counts: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        """Of images or clips, of which so many stand in each prompt."""
        words = [None] * len(counts) if texts is None else texts
        first = np.cumsum([0, *counts[:-1]])
        rows = [
            self._prompt_ids(len(clips[start]), media, text, count)
            for start, text, count in zip(first, words, counts, strict=True)
        ]
        padding = self.processor.tokenizer.pad_token_id or 0
        length = max(map(len, rows))
        inputs = {
            "pixel_values": torch.cat([normalise(clip, self._pixel_processor(len(clip), media)) for clip in clips]),
            "frames": torch.tensor([len(clip) for clip in clips]),
            "input_ids": torch.tensor([[*row, *[padding] * (length - len(row))] for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows]),
        }
        return inputs if texts is not None else end_at_last_visual(inputs, self.is_visual(inputs["input_ids"]), padding)

    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:
        features = self.visual_features(inputs)
        if any(is_language(tap) for tap in taps):
            decoder: Any = self.tapped_module(self.model).get_submodule("language_model")
            embedded = decoder.embed_tokens(inputs["input_ids"])
            visual = self.is_visual(inputs["input_ids"])
            embedded = embedded.masked_scatter(visual[..., None], features.to(embedded.dtype))
            decoder(inputs_embeds=embedded, attention_mask=inputs["attention_mask"], use_cache=False)

    def frame_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        return [int(count) for count in inputs["frames"]]

    def merged_grids(self, inputs: Mapping[str, torch.Tensor]) -> list[Grid]:
        return [self.grid("merged", t, self._size, self._size) for t in self.frame_counts(inputs)]

    def vision_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        return self.tower(self.config).raster_tokens(tap, hidden, self.frame_counts(inputs))

    def _prompt_ids(self, frames: int, media: Media, text: str | None, count: int) -> list[int]:
        kind = self.media_in_prompt(media, frames)
        placeholder, spelled = self.placeholder_tokens(kind, frames)
        return self.token_ids(self.render_turn(kind, text, count).replace(placeholder, spelled, count))

    def _pixel_processor(self, frames: int, media: Media) -> Any:
        """The processor that scales and normalises a sample's frames."""
        is_image = self.media_in_prompt(media, frames) == "image"
        return self.processor.image_processor if is_image else self.processor.video_processor

    def media_in_prompt(self, media: Media, frames: int) -> Media:  # noqa: ARG002 - other families look at frames
        """As what the prompt speaks of a sample."""
        return media

    @cached_property
    def _size(self) -> int:
        return _square_side(self.config.vision_config.image_size)

    @cached_property
    def _patch(self) -> int:
        return _square_side(self.config.vision_config.patch_size)


def _square_side(size: Any) -> int:
    """Of a square, which a configuration gives as one number or as two. Raises `ModelError` where they differ."""
    sides = {int(side) for side in size} if isinstance(size, list | tuple) else {int(size)}
    if len(sides) != 1:
        raise ModelError(f"a vision tower for inputs of {size} pixels or patches is not square, which is not supported")
    return sides.pop()
