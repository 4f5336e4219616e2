"""Vision-only encoders: a tower of blocks over the patches of one image, with or without a class token."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import ceil, floor, prod, sqrt
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from foresight_cache.encoders import PromptMedia, Tap, TapLevel
from foresight_cache.encoders.bases.towers import Tower, normalise
from foresight_cache.encoders.bases.transformers_encoder import Hidden, TransformersEncoder
from foresight_cache.encoders.weights import loading, model_files
from foresight_cache.encoders.weights.accounting import Rules
from foresight_cache.samples import ClipTimes, Grid


class VisionEncoder(TransformersEncoder):
    """A vision tower alone, which takes a clip frame by frame. Frames of one size are run together.

    Inputs of `forward`: `pixels`, normalised float32 of all frames one after another, and `sizes` [B, 3], which are
    frames, height and width.

    `vit.pre_merge` is the output of the last block, before the final norm. Patches and merged tokens are the same.
    Positions are resampled, by the model's own code, to inputs of other sizes than the one it was trained at. An
    input of native size keeps its aspect ratio and, in whole patches, its size, between a quarter and all of the
    patches that the model was trained at.
    """

    media = ("image", "clip")
    sizes = "multiples of the patch; native"
    counts_operations = True
    kept_on_host = frozenset({"sizes"})
    pixel_settings: ClassVar[tuple[str, ...]] = loading.PIXEL_SETTINGS
    """Settings of the image processor that a stored value depends on."""
    left_out_tensors: ClassVar[Rules] = {
        "text tower, and what compares it with the image": (
            r"(^|\.)(text_model|text_projection|visual_projection|logit_scale|logit_bias)(\.|$)"
        ),
        "heads of other tasks": (
            r"^(classifier|class_head|box_head|objectness_head|layer_norm|decode_head|bbox_predictor"
            r"|class_labels_classifier)\."
        ),
    }
    tower: ClassVar[Tower]
    tower_path: ClassVar[str] = ""
    """Path of the tower in the model; empty where the model is the tower."""
    resampling: ClassVar[Mapping[str, bool]] = {"interpolate_pos_encoding": True}
    """Arguments of the model that let it take any size."""

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.patch_multiple = int(self.config.patch_size)

    @classmethod
    def load_processor(cls, path: Path) -> Any:
        from transformers import AutoImageProcessor

        return model_files.load_processor(AutoImageProcessor, path)

    @classmethod
    def tapped_module(cls, model: nn.Module) -> nn.Module:
        return model.get_submodule(cls.tower_path)

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        return cls.tower.all_taps(config.num_hidden_layers, config.hidden_size)

    def identity(self) -> Mapping[str, Any]:
        return {
            **super().identity(),
            "image_processor": loading.processor_settings(self.processor, self.pixel_settings),
        }

    def native_size(self, height: int, width: int) -> tuple[int, int]:
        if (height, width) == self._trained_size:
            return height, width
        side, most = self.patch_multiple, self._patches
        rows, columns = height / side, width / side
        if rows * columns > most:
            scale = sqrt(most / (rows * columns))
            rows, columns = max(1, floor(rows * scale)), max(1, floor(columns * scale))
        else:
            scale = max(1.0, sqrt(most / 4 / (rows * columns)))
            rows, columns = ceil(rows * scale), ceil(columns * scale)
        if rows * columns > most:  # of a strip, which keeps one patch across, the ends
            rows, columns = min(rows, most // min(rows, columns)), min(columns, most // min(rows, columns))
        return rows * side, columns * side

    def nearest_size(self, height: int, width: int) -> tuple[int, int]:
        if (height, width) == self._trained_size:
            return height, width
        return super().nearest_size(height, width)

    def max_tokens(self, level: TapLevel, frames: int) -> int:  # noqa: ARG002 - all levels are one
        return frames * self._patches

    @property
    def max_pixels(self) -> int:
        return prod(self._trained_size)

    def possible_grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:  # noqa: ARG002 - likewise
        return Grid(frames, height // self.patch_multiple, width // self.patch_multiple)

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        side = self.patch_multiple
        return height // side * side, width // side * side

    def preprocess(
        self,
        clips: Sequence[np.ndarray],
        media: PromptMedia,
        texts: Sequence[str] | None = None,  # noqa: ARG002 - it has no prompt
        times: Sequence[ClipTimes | None] | None = None,  # noqa: ARG002 - nor times
    ) -> dict[str, torch.Tensor]:
        self.check_clips(clips, media)
        pixels = [normalise(clip, self.processor).flatten() for clip in clips]
        return {"pixels": torch.cat(pixels), "sizes": torch.tensor([clip.shape[:3] for clip in clips])}

    def frame_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        return [int(size[0]) for size in inputs["sizes"]]

    def token_grids(self, level: TapLevel, inputs: Mapping[str, torch.Tensor]) -> list[Grid]:
        return [self.possible_grid(level, *size) for size in inputs["sizes"].tolist()]

    def split_by_size(
        self, inputs: Mapping[str, torch.Tensor]
    ) -> list[tuple[Sequence[int], Mapping[str, torch.Tensor]]]:
        sizes = [tuple(row) for row in inputs["sizes"].tolist()]
        if len({size[1:] for size in sizes}) == 1:
            return [(range(len(sizes)), inputs)]
        parts = torch.split(inputs["pixels"], [3 * t * h * w for t, h, w in sizes])
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, size in enumerate(sizes):
            groups.setdefault(size[1:], []).append(number)
        return [
            (numbers, {"pixels": torch.cat([parts[n] for n in numbers]), "sizes": inputs["sizes"][numbers]})
            for numbers in groups.values()
        ]

    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:  # noqa: ARG002 - hooks stop it
        height, width = inputs["sizes"][0, 1:].tolist()
        pixels = inputs["pixels"].view(-1, 3, height, width).to(self.model.dtype)
        self.model(pixels, **self.resampling)

    def raster_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        return self.tower.raster_tokens(tap, hidden, self.frame_counts(inputs))

    @cached_property
    def _trained_size(self) -> tuple[int, int]:
        """Height and width in pixels of the inputs that the model was trained at."""
        size = self.config.image_size
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return int(height), int(width)

    @cached_property
    def _patches(self) -> int:
        """Patches that the model was trained at."""
        return prod(side // self.patch_multiple for side in self._trained_size)
