"""Qwen2.5-VL: a windowed vision tower, a 2×2 merger and a causal language model.

Two of its habits matter here. Its tower computes merge units window by window and restores their order only after
the merger (`order.py`), and its `output_hidden_states[-1]` is taken after the final norm, so that the last layer's
residual stream has to be captured from the layer itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import isqrt
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from jinja2 import TemplateError

from foresight_cache import fingerprint, model_files, order, tiny_models
from foresight_cache.capture import capture
from foresight_cache.encoders import Encoder, Level, LoadOptions, Tap
from foresight_cache.errors import BadSample, ModelError, UnknownName, UsageError
from foresight_cache.samples import Grid, Media

SECOND_PER_GRID = 1.0
"""Seconds between two temporal grid steps of a clip: the model's own default, which is two frames at 2 fps."""

Side = Literal["input", "output"]

_MAX_ASPECT = 200
"""Longest side over shortest that the processor accepts."""

_RECORDED = (
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_convert_rgb"),
    *("patch_size", "temporal_patch_size", "merge_size", "size"),
)
"""Processor settings that a stored value depends on."""


class Family(Encoder):
    """Inputs of `forward`, as `preprocess` makes them for B samples with P patches in all:

    `pixel_values` [P, 3·2·14·14] and `image_grid_thw` [B, 3] (for clips `pixel_values_videos`, `video_grid_thw` and
    `second_per_grid_ts` [B]), `input_ids`, `attention_mask` and `mm_token_type_ids` [B, L], right-padded. A row ends
    at its last visual token: what follows cannot influence a causal model's visual tokens.
    """

    family: ClassVar[str] = "qwen2_5_vl"

    def __init__(self, model: Any, processor: Any, *, source: Mapping[str, Any], options: LoadOptions) -> None:
        """Takes a `Qwen2_5_VLForConditionalGeneration` and a `Qwen2_5_VLProcessor`.

        `source` says where the weights are from, in the words of `identity`.
        """
        self.device = model_files.pick_device(options.device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.processor = processor
        self.options = options
        # An attribute that older versions ignore; it only says that nobody asks for frames to be resized here.
        self.processor.video_processor.cap_pixels_per_frame = False
        self.taps = _taps(model.config)
        self.patch_multiple = self._patch * self._merge
        self._source = dict(source)
        self._prefixes: dict[Media, list[int]] = {media: self._prefix(media) for media in ("image", "clip")}

    @classmethod
    def load(cls, model: str, options: LoadOptions) -> Self:
        dtype: torch.dtype = getattr(torch, options.dtype)
        if model == f"tiny:{cls.family}":
            tiny, processor = tiny_models.qwen2_5_vl(dtype)
            source = {"name": model, "revision": None, "weights_digest": model_files.state_digest(tiny)}
            return cls(tiny, processor, source=source, options=options)
        from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

        path = model_files.directory(model)
        weights = model_files.load_weights(Qwen2_5_VLForConditionalGeneration, path, dtype)
        processor = model_files.load_processor(Qwen2_5_VLProcessor, path)
        source = {
            "name": model_files.identifier(model),
            "revision": model_files.revision(path),
            "weights_digest": model_files.weights_digest(path),
        }
        return cls(weights, processor, source=source, options=options)

    def identity(self) -> Mapping[str, Any]:
        config = self.model.config
        seed = getattr(config, tiny_models.SEED_FIELD, None)
        return {
            "family": self.family,
            **self._source,
            "weights": "pretrained" if seed is None else "random",
            "seed": seed,
            "class": type(self.model).__name__,
            "config_digest": fingerprint.digest(_stable(config.to_dict())),
            "dtype": self.options.dtype,
            "attention": config._attn_implementation,
            "prompt": self.options.prompt,
            "chat_template_digest": fingerprint.digest(self.processor.chat_template),
            "prompt_tokens_digest": fingerprint.digest(self._prefixes),
            "image_processor": _settings(self.processor.image_processor),
            "video_processor": _settings(self.processor.video_processor),
            "second_per_grid": SECOND_PER_GRID,
            "tokens_per_second": config.vision_config.tokens_per_second,
        }

    def native_size(self, height: int, width: int) -> tuple[int, int]:
        """Raises `BadSample` where one side is more than 200 times the other."""
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        if max(height, width) > _MAX_ASPECT * min(height, width):
            raise BadSample(
                f"media of {height}×{width} pixels is too narrow; one side may be {_MAX_ASPECT} times the other"
            )
        low, high = self._pixel_bounds
        size: tuple[int, int] = smart_resize(height, width, self.patch_multiple, min_pixels=low, max_pixels=high)
        return size

    def max_tokens(self, level: Level, frames: int) -> int:
        side = self._patch if level == "patch" else self.patch_multiple
        return self._steps(frames) * (self.max_pixels // side**2)

    @property
    def max_pixels(self) -> int:
        budget = self._pixel_bounds[1]
        # The narrowest strip keeps one unit of height, whatever the budget.
        return max(budget, self.patch_multiple * isqrt(_MAX_ASPECT * budget))

    def grid(self, level: Level, frames: int, height: int, width: int) -> Grid:
        if frames < 1 or height < 1 or width < 1 or height % self.patch_multiple or width % self.patch_multiple:
            near = " × ".join(str(self._nearest(side)) for side in (height, width))
            raise UsageError(
                f"size {height} × {width} with {frames} frames is not possible for {self.family}: height and width "
                f"must be multiples of {self.patch_multiple} pixels and frames at least 1; the nearest size is {near}"
            )
        side = self._patch if level == "patch" else self.patch_multiple
        return Grid(self._steps(frames), height // side, width // side)

    def preprocess(self, clips: Sequence[np.ndarray], media: Media) -> dict[str, torch.Tensor]:
        """Raises `UsageError` for a size that is not possible, and for an image of several frames."""
        if media == "image" and any(len(clip) != 1 for clip in clips):
            raise UsageError("an image has exactly one frame; preprocess several frames as a clip")
        counts = [self.grid("merged", *clip.shape[:3]).tokens for clip in clips]
        pixels = self._images(clips) if media == "image" else self._videos(clips)
        return pixels | self._tokens(media, counts)

    @torch.inference_mode()
    def forward(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[str]) -> dict[str, list[torch.Tensor]]:
        """Raises `UnknownName` for a tap that the model does not have."""
        names = {tap.name for tap in self.taps}
        for unknown in set(taps) - names:
            raise UnknownName("tap", unknown, names)
        wanted = [tap for tap in self.taps if tap.name in taps]
        pixels, grid_thw = _vision_inputs(inputs)
        grids = [Grid(*row) for row in grid_thw.tolist()]
        placed = {name: tensor.to(self.device, non_blocking=True) for name, tensor in inputs.items()}

        def run() -> None:
            if any(_is_language(tap) for tap in wanted):
                self.model.model(**placed, use_cache=False)
            else:
                self.model.model.visual(placed[pixels].type(self.model.dtype), grid_thw=grid_thw.to(self.device))

        captured = capture(self.model.model, wanted, run)
        return self._in_raster_order(wanted, captured, grids, placed["input_ids"])

    def _in_raster_order(
        self, taps: Sequence[Tap], captured: dict[str, torch.Tensor], grids: Sequence[Grid], input_ids: torch.Tensor
    ) -> dict[str, list[torch.Tensor]]:
        """Per tap the tokens of each sample. Empties `captured` on the way, so that no tap is held twice."""
        units = self.window_units(grids)
        towered = order.inverse(order.window_patch_order(grids, self._merge, units)).to(self.device)
        embedded = order.inverse(order.merge_group_order(grids, self._merge)).to(self.device)
        merged = order.inverse(units).to(self.device)
        is_visual = (input_ids == self.model.config.image_token_id) | (input_ids == self.model.config.video_token_id)
        result = {}
        for tap in taps:
            hidden = captured.pop(tap.name)
            if _is_language(tap):
                tokens = hidden[is_visual]  # row by row, each in raster order, as the placeholders stand
            elif tap.level == "merged":
                tokens = hidden[merged]
            else:
                tokens = hidden[embedded if tap.name == "vit.patch_embed" else towered]
            share = self._merge**2 if tap.level == "merged" else 1
            result[tap.name] = list(torch.split(tokens, [grid.tokens // share for grid in grids]))
        return result

    def window_units(self, grids: Sequence[Grid]) -> torch.Tensor:
        """The order in which the tower computes the merge units of packed samples, by the model's own code."""
        visual = self.model.model.visual
        grid_thw = torch.tensor(grids)
        try:
            from transformers.vision_utils import get_vision_window_index
        except ImportError:  # before it moved there, the tower had it
            units = visual.get_window_index(grid_thw)[0]
        else:
            units = get_vision_window_index(
                grid_thw,
                spatial_merge_size=visual.spatial_merge_size,
                window_size=visual.window_size,
                patch_size=visual.patch_size,
            )[0]
        return torch.as_tensor(units, device="cpu")

    def _images(self, clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        images = [clip[0] for clip in clips]
        made = self.processor.image_processor(
            images=images, do_resize=False, input_data_format="channels_last", return_tensors="pt"
        )
        return {name: made[name] for name in ("pixel_values", "image_grid_thw")}

    def _videos(self, clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        made = self.processor.video_processor(
            videos=list(clips),
            do_resize=False,
            do_sample_frames=False,
            input_data_format="channels_last",
            return_tensors="pt",
        )
        seconds = torch.full((len(clips),), SECOND_PER_GRID)
        return {name: made[name] for name in ("pixel_values_videos", "video_grid_thw")} | {
            "second_per_grid_ts": seconds
        }

    def _tokens(self, media: Media, counts: Sequence[int]) -> dict[str, torch.Tensor]:
        """Token ids of the prompt up to the last of each sample's `counts` visual tokens, right-padded."""
        prefix = self._prefixes[media]
        lengths = torch.tensor(counts) + len(prefix)
        places = torch.arange(int(lengths.max()))
        attention = places < lengths[:, None]
        visual = attention & (places >= len(prefix))
        input_ids = torch.full(attention.shape, self._padding).masked_fill(visual, self._placeholder(media))
        input_ids[:, : len(prefix)] = torch.tensor(prefix)
        # The model's own code for the kind of a token: 0 text, 1 image, 2 video.
        kinds = visual.int() * (1 if media == "image" else 2)
        return {"input_ids": input_ids, "attention_mask": attention.long(), "mm_token_type_ids": kinds}

    def _prefix(self, media: Media) -> list[int]:
        """Token ids of the user turn before the first visual token, through the model's own chat template."""
        kind = "image" if media == "image" else "video"
        turn = {"role": "user", "content": [{"type": kind}, {"type": "text", "text": self.options.prompt}]}
        try:
            text = self.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
        except (ValueError, TemplateError) as error:
            raise ModelError(f"the chat template of this {self.family} cannot be used: {error}") from error
        ids: list[int] = self.processor.tokenizer(text)["input_ids"]
        placeholder = self._placeholder(media)
        if placeholder not in ids:
            raise ModelError(
                f"the prompt of this {self.family} has no {kind} token {placeholder}: "
                f"its tokenizer or its chat template is not the model's own"
            )
        return ids[: ids.index(placeholder)]

    def _placeholder(self, media: Media) -> int:
        config = self.model.config
        return int(config.image_token_id if media == "image" else config.video_token_id)

    def _nearest(self, side: int) -> int:
        return max(1, round(side / self.patch_multiple)) * self.patch_multiple

    def _steps(self, frames: int) -> int:
        """Temporal grid steps; the processor repeats the last frame until its patches are full."""
        return -(-frames // self._temporal_patch)

    @cached_property
    def _padding(self) -> int:
        return int(self.processor.tokenizer.pad_token_id)

    @cached_property
    def _patch(self) -> int:
        return int(self.model.config.vision_config.patch_size)

    @cached_property
    def _merge(self) -> int:
        return int(self.model.config.vision_config.spatial_merge_size)

    @cached_property
    def _temporal_patch(self) -> int:
        return int(self.model.config.vision_config.temporal_patch_size)

    @cached_property
    def _pixel_bounds(self) -> tuple[int, int]:
        size = self.processor.image_processor.size
        return int(size["shortest_edge"]), int(size["longest_edge"])


def _taps(config: Any) -> tuple[Tap, ...]:
    """All taps in the order of computation, with paths inside `model.model`."""
    vision, text = config.vision_config, config.text_config

    def patch(name: str, module: str, side: Side = "output") -> Tap:
        return Tap(name=name, module=f"visual.{module}", side=side, level="patch", width=vision.hidden_size)

    def merged(name: str, module: str, side: Side = "output") -> Tap:
        return Tap(name=name, module=module, side=side, level="merged", width=text.hidden_size)

    return (
        patch("vit.patch_embed", "patch_embed"),
        *(patch(f"vit.block_{number + 1:02d}", f"blocks.{number}") for number in range(vision.depth)),
        patch("vit.pre_merge", "merger", "input"),
        replace(merged("vit.post_merge", "visual.merger"), width=vision.out_hidden_size),
        merged("llm.embed", "language_model.layers.0", "input"),
        *(
            merged(f"llm.layer_{number + 1:02d}", f"language_model.layers.{number}")
            for number in range(text.num_hidden_layers)
        ),
        merged("llm.final_norm", "language_model.norm"),
    )


def _is_language(tap: Tap) -> bool:
    return tap.name.startswith("llm.")


def _vision_inputs(inputs: Mapping[str, torch.Tensor]) -> tuple[str, torch.Tensor]:
    """The name of the pixels among the inputs, and the patch grid of each sample."""
    if "pixel_values" in inputs:
        return "pixel_values", inputs["image_grid_thw"]
    return "pixel_values_videos", inputs["video_grid_thw"]


def _settings(processor: Any) -> dict[str, Any]:
    made = processor.to_dict()
    return {"class": type(processor).__name__} | {name: _plain(made.get(name)) for name in _RECORDED}


def _plain(value: Any) -> Any:
    """A setting as a JSON value."""
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items() if item is not None}
    return list(value) if isinstance(value, tuple) else value


def _stable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what says where and by which version it was loaded, and in which number type."""
    passing = {"_name_or_path", "transformers_version", "dtype", "architectures"}
    kept = {name: value for name, value in config.items() if name not in passing}
    return {name: _stable(value) if isinstance(value, Mapping) else value for name, value in kept.items()}
