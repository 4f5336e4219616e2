"""Qwen's vision-language models: patches packed without padding, in merge groups, and a merger after the tower."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from foresight_cache.encoders import Tap, TapLevel
from foresight_cache.encoders.bases.clip_sizes import ClipSizes, FrameBudget, of_narrowest, refuse_narrow
from foresight_cache.encoders.bases.language import LanguageEncoder, is_language, language_taps
from foresight_cache.encoders.bases.transformers_encoder import Hidden
from foresight_cache.encoders.capture import order
from foresight_cache.encoders.capture.counts import check_total
from foresight_cache.encoders.weights import loading
from foresight_cache.samples import ClipTimes, Grid, Media

ASSUMED_RATE = 2.0
"""Frames per second at which the frames of a clip are taken to be shown where nothing says its rate."""


class QwenEncoder(LanguageEncoder):
    """A Qwen model: patches of all samples packed without padding, a 2×2 merger, three-part rotary positions.

    Inputs of `forward`, as `preprocess` makes them for B samples with N patches in all: `pixel_values` [N, C·2·14·14]
    and `image_grid_thw` [B, 3] (for clips `pixel_values_videos`, `video_grid_thw`), `input_ids`, `attention_mask` and
    `mm_token_type_ids` [B, N], right-padded. Where prompts have several images, `image_grid_thw` has a row for each.
    """

    knows_halp_vision = True
    media = ("image", "clip")
    sizes = "multiples of 28; native"
    time_inputs: ClassVar[tuple[str, ...]] = ()
    """Inputs of the model, made by its processor, that say when the frames of a clip are shown."""
    sizes_of_clips: ClassVar[type[ClipSizes]] = FrameBudget
    """Kind of rule for the native sizes of clips."""
    pixel_settings = (
        *loading.PIXEL_SETTINGS,
        "patch_size",
        "temporal_patch_size",
        "merge_size",
        "size",
        "max_video_tokens",
    )

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        if self.processor is not None:
            video_processor = self.processor.video_processor
            self._caps_clips: bool | None = getattr(video_processor, "cap_pixels_per_frame", None)
            # Versions and models that know the setting are told that nobody asks for frames to be resized here.
            known = hasattr(video_processor, "cap_pixels_per_frame")
            self._uncapped: Mapping[str, Any] = {"cap_pixels_per_frame": False} if known else {}
        self.patch_multiple = self._patch * self._merge
        self._positions_of_batch: tuple[torch.Tensor | None, dict[tuple[TapLevel, bool], torch.Tensor | None]] = (
            None,
            {},
        )

    @staticmethod
    def vision_widths(config: Any) -> tuple[int, int]:
        """Returns the channels inside the tower and after the merger."""
        return config.vision_config.hidden_size, config.vision_config.out_hidden_size

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        inside, after = cls.vision_widths(config)
        width, layers = config.text_config.hidden_size, config.text_config.num_hidden_layers
        blocks = [(f"vit.block_{k + 1:02d}", f"visual.blocks.{k}") for k in range(config.vision_config.depth)]
        return (
            *(
                Tap(name=name, module=module, side="output", level="patch", width=inside)
                for name, module in [("vit.patch_embed", "visual.patch_embed"), *blocks]
            ),
            Tap(name="vit.pre_merge", module="visual.merger", side="input", level="patch", width=inside),
            Tap(name="vit.post_merge", module="visual.merger", side="output", level="merged", width=after),
            *language_taps(width, layers),
        )

    def identity(self) -> Mapping[str, Any]:
        return {
            **super().identity(),
            "caps_clips": self._caps_clips,
            **({"assumed_rate": ASSUMED_RATE} if self.is_told_times else {}),
        }

    def native_size(self, height: int, width: int) -> tuple[int, int]:
        """Raises `BadSample` where one side is more than 200 times the other."""
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        refuse_narrow(height, width)
        low, high = self._pixel_bounds
        size: tuple[int, int] = smart_resize(height, width, self.patch_multiple, min_pixels=low, max_pixels=high)
        return size

    def native_clip_size(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """Returns the size that the model's own video processor gives a clip. Raises `BadSample` as `native_size`."""
        refuse_narrow(height, width)
        return self.clip_sizes.size(frames, height, width)

    def max_tokens(self, level: TapLevel, frames: int) -> int:
        side = self._patch if level == "patch" else self.patch_multiple
        return self._temporal_steps(frames) * (self.max_pixels // side**2)

    @property
    def max_pixels(self) -> int:
        return of_narrowest(self._pixel_bounds[1], self.patch_multiple)

    def max_clip_tokens(self, level: TapLevel, frames: int) -> int:
        side = self._patch if level == "patch" else self.patch_multiple
        return max(
            self._temporal_steps(count) * (self.clip_sizes.max_frame_pixels(count) // side**2)
            for count in range(1, frames + 1)
        )

    def max_clip_pixels(self, frames: int) -> int:
        return max(count * self.clip_sizes.max_frame_pixels(count) for count in range(1, frames + 1))

    @cached_property
    def clip_sizes(self) -> ClipSizes:
        """Rule by which the model's own video processor chooses the size of a clip."""
        return self.sizes_of_clips(self.processor.video_processor, self.patch_multiple, cap=self._caps_clips)

    def possible_grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:
        side = self._patch if level == "patch" else self.patch_multiple
        return Grid(self._temporal_steps(frames), height // side, width // side)

    def prompt_inputs(
        self,
        clips: Sequence[np.ndarray],
        media: Media,
        texts: Sequence[str],
        counts: Sequence[int],
        times: Sequence[ClipTimes | None] | None = None,
    ) -> dict[str, torch.Tensor]:
        prepared = self.processor(
            text=[self.render_turn(media, text, count) for text, count in zip(texts, counts, strict=True)],
            **(_image_arguments(clips) if media == "image" else _video_arguments(clips, times, self._uncapped)),
            padding=True,
            padding_side="right",
            return_mm_token_type_ids=True,
            return_tensors="pt",
        )
        pixels = ("pixel_values", "image_grid_thw") if media == "image" else ("pixel_values_videos", "video_grid_thw")
        times_of = self.time_inputs if media == "clip" else ()
        names = (*pixels, "input_ids", "attention_mask", "mm_token_type_ids", *times_of)
        return {name: torch.as_tensor(prepared[name]) for name in names}

    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:
        multimodal = self.tapped_module(self.model)
        if any(is_language(tap) for tap in taps):
            own = {name: tensor for name, tensor in inputs.items() if name not in self.kept_on_host}
            multimodal(**own, use_cache=False)
        else:
            pixels, grid_thw = _vision_inputs(inputs)
            multimodal.get_submodule("visual")(pixels.type(self.model.dtype), grid_thw=grid_thw)

    def frame_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        return [int(row[0]) for row in _vision_inputs(inputs)[1]]

    def token_grids(self, level: TapLevel, inputs: Mapping[str, torch.Tensor]) -> list[Grid]:
        merge = self._merge if level == "merged" else 1
        return [Grid(t, h // merge, w // merge) for t, h, w in _vision_inputs(inputs)[1].tolist()]

    def vision_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        counts = [grid.tokens for grid in self.token_grids(tap.level, inputs)]
        check_total(len(hidden), sum(counts), tap.name)
        positions = self._raster_positions(tap, _vision_inputs(inputs)[1])
        return list(torch.split(hidden if positions is None else hidden[positions], counts))

    def _raster_positions(self, tap: Tap, grid_thw: torch.Tensor) -> torch.Tensor | None:
        """Returns the position at a tap of each raster token, on the device; made once for all taps of a batch."""
        if self._positions_of_batch[0] is not grid_thw:
            self._positions_of_batch = grid_thw, {}
        known, kind = self._positions_of_batch[1], (tap.level, tap.name == "vit.patch_embed")
        if kind not in known:
            packed = self.order_at(tap, [Grid(*row) for row in grid_thw.tolist()])
            known[kind] = None if packed is None else order.inverse(packed).to(self.device, non_blocking=True)
        return known[kind]

    def order_at(self, tap: Tap, grids: Sequence[Grid]) -> torch.Tensor | None:
        """Returns the order of the packed tokens at a tap of the tower; None where it is raster order already.

        It may differ between the patch embedding, other taps of patches, and taps of merged tokens, and no further.
        """
        return order.merge_group_order(grids, self._merge) if tap.level == "patch" else None

    def _temporal_steps(self, frames: int) -> int:
        """Returns the temporal grid steps; the processor repeats the last frame until its patches are full."""
        return -(-frames // self._temporal_patch)

    @cached_property
    def _patch(self) -> int:
        return int(self.config.vision_config.patch_size)

    @cached_property
    def _merge(self) -> int:
        return int(self.config.vision_config.spatial_merge_size)

    @cached_property
    def _temporal_patch(self) -> int:
        return int(self.config.vision_config.temporal_patch_size)

    @cached_property
    def _pixel_bounds(self) -> tuple[int, int]:
        size = self.processor.image_processor.size
        return int(size["shortest_edge"]), int(size["longest_edge"])


def _vision_inputs(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns pixels, and the patch grid of each sample."""
    if "pixel_values" in inputs:
        return inputs["pixel_values"], inputs["image_grid_thw"]
    return inputs["pixel_values_videos"], inputs["video_grid_thw"]


def _image_arguments(clips: Sequence[np.ndarray]) -> dict[str, Any]:
    options = {"do_resize": False, "input_data_format": "channels_last"}
    return {"images": [frame for clip in clips for frame in clip], "images_kwargs": options}


def _video_arguments(
    clips: Sequence[np.ndarray], times: Sequence[ClipTimes | None] | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    known = times or [None] * len(clips)
    options = {
        **settings,
        "do_resize": False,
        "do_sample_frames": False,
        "input_data_format": "channels_last",
        "video_metadata": [_metadata(len(clip), of_clip) for clip, of_clip in zip(clips, known, strict=True)],
    }
    return {"videos": list(clips), "videos_kwargs": options}


def _metadata(taken: int, times: ClipTimes | None) -> dict[str, Any]:
    """Returns what the processor is told of a clip of which so many frames were taken, from which it makes times."""
    if times is None:
        return {"fps": ASSUMED_RATE, "total_num_frames": taken, "frames_indices": list(range(taken))}
    rate = times.frames_per_second
    if times.measured is not None:  # the processor divides by the rate, which leaves seconds as they are
        return {"fps": 1.0, "total_num_frames": times.frames / rate, "frames_indices": list(times.measured)}
    return {"fps": rate, "total_num_frames": times.frames, "frames_indices": list(times.indices)}
