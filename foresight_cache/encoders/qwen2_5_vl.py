"""Qwen2.5-VL: a windowed vision tower, a 2×2 merger and a causal language model.

Two of its habits matter here. Its tower computes merge units window by window and restores their order only after
the merger (`order.py`), and its `output_hidden_states[-1]` is taken after the final norm, so that the last layer's
residual stream has to be captured from the layer itself. `vit.pre_merge` is what enters the merger: the output of the
last block, before the merger's own norm.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.qwen_base import QwenEncoder
from foresight_cache.encoders.capture import order
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Grid


class Family(QwenEncoder):
    """Qwen2.5-VL; clips have `second_per_grid_ts` [B] among their inputs."""

    family = "qwen2_5_vl"
    model_class = "Qwen2_5_VLForConditionalGeneration"
    processor_class = "Qwen2_5_VLProcessor"
    is_told_times = True
    time_inputs = ("second_per_grid_ts",)
    counts_operations = True

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "tokens_per_second": self.config.vision_config.tokens_per_second}

    def order_at(self, tap: Tap, grids: Sequence[Grid]) -> torch.Tensor | None:
        if tap.name == "vit.patch_embed":
            return order.merge_group_order(grids, self._merge)
        units = self.window_units(grids)
        return order.window_patch_order(grids, self._merge, units) if tap.level == "patch" else units

    def attended(self, tap: Tap, grid: Grid, extra: int) -> Sequence[int]:
        """Returns windows, whole or cut off by the edge of a frame, but for blocks with full attention."""
        vision = self.config.vision_config
        number = int(tap.name.removeprefix("vit.block_")) - 1 if tap.name.startswith("vit.block_") else -1
        if number < 0 or number in vision.fullatt_block_indexes:
            return super().attended(tap, grid, extra)
        side = vision.window_size // vision.spatial_merge_size // vision.patch_size * vision.spatial_merge_size
        rows, columns = ([min(side, length - start) for start in range(0, length, side)] for length in grid[1:])
        return [height * width for height in rows for width in columns] * grid.t

    def window_units(self, grids: Sequence[Grid]) -> torch.Tensor:
        """Returns the order in which the tower computes the merge units of packed samples, by the model's own code."""
        from transformers.vision_utils import get_vision_window_index

        visual = self.model.model.visual
        units, *_ = get_vision_window_index(
            torch.tensor(grids),
            spatial_merge_size=visual.spatial_merge_size,
            window_size=visual.window_size,
            patch_size=visual.patch_size,
        )
        return torch.as_tensor(units, device="cpu")

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with the real one's windows of 112 px (8×8 patches); every second block has full attention."""
        tokenizer = tiny_models.byte_tokenizer()
        config = make(
            "Qwen2_5_VLConfig",
            vision_config={
                **{"depth": 8, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128},
                "fullatt_block_indexes": [1, 3, 5, 7],
                "tokens_per_second": 2,  # of the published models; the class has 4
            },
            text_config=tiny_models.qwen_language_config(tokenizer),
            **tiny_models.qwen_token_ids(tokenizer),
        )
        return config, tiny_models.qwen_processor(cls.processor_class, tokenizer)
