"""Molmo 2: a vision transformer, attention that pools 2×2 patches of two of its layers, and a language model; images.

Its processor shows an image twice: as one view, and cut into crops behind it; all tokens of images see each other. Here
an image has the size of the view and one crop, as the processor has it with `max_crops` 1, and what is kept are the
tokens of the view. `vit.pre_merge` are the layers that are pooled, side by side; `vit.post_merge` is what the projector
returns, which is added to the embedding of the token whose place it takes: the sum is `llm.embed`. Of an odd number of
patches the last tokens pool what is left. Marks of rows and of the image's end stand between and behind the tokens,
which see them. A clip is several images of one prompt, which all see each other.
"""

from collections.abc import Mapping
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.language import are_any, language_taps
from foresight_cache.encoders.bases.single_view import SingleViewEncoder
from foresight_cache.encoders.bases.towers import Tower
from foresight_cache.encoders.capture.counts import check_total
from foresight_cache.encoders.weights import loading, tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.errors import ModelError
from foresight_cache.samples import Media

_POOLED = 2
"""Patches along a side of what one token of an image pools, in the published processors."""
_SHOWN = 2
"""Times that an image is shown: as a view and as a crop."""


class Family(SingleViewEncoder):
    """Molmo 2."""

    family = "molmo2"
    model_class = "Molmo2ForConditionalGeneration"
    processor_class = "Molmo2Processor"
    sizes = "the tower's, such as 378"
    pixel_settings = (*loading.PIXEL_SETTINGS, "pooling_size")

    def __init__(self, *arguments: Any, **others: Any) -> None:
        """Raises `ModelError` for a processor that pools other squares than the published ones."""
        super().__init__(*arguments, **others)
        self.around_raster = (0, self.merged_grid_side(1) ** 2)  # the crop's tokens
        pooled = [_POOLED, _POOLED] if self.processor is None else list(self.processor.image_processor.pooling_size)
        if pooled != [_POOLED, _POOLED]:
            raise ModelError(f"the processor of this molmo2 pools {pooled} patches, expected {_POOLED} × {_POOLED}")

    @classmethod
    def tower(cls, config: Any) -> Tower:  # noqa: ARG003 - there is one kind
        return Tower(patches="patch_embedding", blocks="layers", leading=0)

    @classmethod
    def class_tokens(cls, config: Any) -> int:  # noqa: ARG003 - the tower has none
        return 0

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        vision, text, adapter = config.vision_config, config.text_config, config.adapter_config
        inside = vision.hidden_size * len(adapter.vision_feature_layer)
        blocks = cls.tower(config).block_taps(vision.num_hidden_layers, vision.hidden_size, prefix=f"{cls.tower_path}.")
        projector = f"{cls.projector_path}.image_projector"
        return (
            *blocks,
            Tap(name="vit.pre_merge", module=cls.projector_path, side="input", level="patch", width=inside),
            Tap(name="vit.post_merge", module=projector, side="output", level="merged", width=text.hidden_size),
            *language_taps(text.hidden_size, text.num_hidden_layers, cls.language_path),
        )

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:  # noqa: ARG002 - there are only images
        grid = [self.merged_grid_side(1)] * 2 * _SHOWN
        return self.processor.image_token, self.processor.replace_image_token({"image_grids": [grid]}, 0)

    def placeholder_id(self, media: Media) -> int:  # noqa: ARG002 - there are only images
        return int(self.processor.image_token_id)

    def visual_ids(self) -> set[int]:
        return {int(self.config.image_token_id)}

    def is_seen(self, ids_BN: torch.Tensor) -> torch.Tensor:
        return are_any(ids_BN, self.processor.image_token_ids)

    def merged_grid_side(self, frames: int) -> int:  # noqa: ARG002 - there are only images
        return -(-(self._size // self._patch) // _POOLED)

    def token_ids(self, text: str) -> list[int]:
        tokenizer = self.processor.tokenizer
        begin = tokenizer.bos_token or tokenizer.eos_token
        ids: list[int] = tokenizer(text if text.startswith(begin) else begin + text)["input_ids"]
        return ids

    def token_types(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        types = self.is_seen(inputs["input_ids"]).long()
        return {"mm_token_type_ids": types, **self._pools(len(inputs["pixel_values"]))}

    def visual_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        multimodal: Any = self.tapped_module(self.model)
        pools = self._pools(len(inputs["pixel_values"]))
        return torch.cat(multimodal.get_image_features(self.views(inputs), **pools).pooler_output)

    def views(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Returns the patches of each image's view and crop, which is the same, [2·T, N, rows·columns·C]."""
        side, patch = self._size // self._patch, self._patch
        pixels_TCHW = super().views(inputs)[..., : side * patch, : side * patch]
        parts_TCYHXW = pixels_TCHW.reshape(-1, 3, side, patch, side, patch)
        patches_TND = parts_TCYHXW.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return patches_TND.repeat_interleave(_SHOWN, dim=0)

    def vision_tokens(self, tap: Tap, hidden: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        if tap.name == "vit.post_merge":
            check_total(len(hidden), sum(self.visual_counts(inputs)), tap.name)
            hidden = hidden.view(-1, self.merged_grid_side(1) ** 2, hidden.shape[-1])
        return super().vision_tokens(tap, hidden[::_SHOWN], inputs)

    def _pools(self, images: int) -> dict[str, torch.Tensor]:
        """Returns the patches that each token pools, -1 where there is none, and the grids of views and crops."""
        side, merged = self._size // self._patch, self.merged_grid_side(1)
        places_YX = torch.full((merged * _POOLED, merged * _POOLED), -1)
        places_YX[:side, :side] = torch.arange(side**2).view(side, side)
        pools = places_YX.view(merged, _POOLED, merged, _POOLED).transpose(1, 2).reshape(merged**2, _POOLED**2)
        shown = [torch.where(pools < 0, pools, pools + number * side**2) for number in range(images * _SHOWN)]
        return {
            "image_token_pooling": torch.cat(shown).to(self.device),
            "image_grids": torch.full((images, 2 * _SHOWN), merged, device=self.device),
        }

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for images of 126 px (9×9 patches, 5×5 tokens) that pools two of its four layers."""
        marks = (
            *("<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>"),
            *("<frame_start>", "<frame_end>", "<im_low>", "<|image|>", "<|video|>"),
        )
        tokenizer = tiny_models.byte_tokenizer(*marks)
        ids = {name: tokenizer.convert_tokens_to_ids(name) for name in marks}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 16}
        config = make(
            "Molmo2Config",
            vision_config={**tiny_models.tower_config(), **heads, "image_size": [126, 126], "patch_size": 14},
            adapter_config={
                **heads,
                **{"vision_feature_layer": [3, 1], "hidden_size": 64},
                **{"intermediate_size": 128, "text_hidden_size": 128},
            },
            text_config={**tiny_models.language_config(tokenizer), "head_dim": 32, "additional_vocab_size": 0},
            image_patch_id=ids["<im_patch>"],
            image_start_token_id=ids["<im_start>"],
            image_end_token_id=ids["<im_end>"],
            low_res_image_start_token_id=ids["<low_res_im_start>"],
            frame_start_token_id=ids["<frame_start>"],
            frame_end_token_id=ids["<frame_end>"],
        )
        size = {"height": 126, "width": 126}
        processor = make(
            cls.processor_class,
            image_processor=make("Molmo2ImageProcessor", size=size, overlap_margins=[2, 2]),
            video_processor=make("Molmo2VideoProcessor", size=size),
            tokenizer=tokenizer,
            chat_template=tiny_models.chat_template(image="<|image|>", video="<|video|>"),
        )
        return config, processor
