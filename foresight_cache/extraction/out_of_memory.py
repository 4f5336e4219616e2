"""Batches that the device's memory does not hold are computed in halves, and that is told."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foresight_cache.encoders import Encoder
from foresight_cache.errors import ModelError
from foresight_cache.extraction.inputs import InputSpec
from foresight_cache.samples import Grid, Media

if TYPE_CHECKING:
    import torch


class Halving:
    """Forward passes of one encoder; a size that did not fit once is not tried again."""

    def __init__(self, encoder: Encoder, rule: InputSpec) -> None:
        self._encoder, self._rule = encoder, rule
        self._too_many: int | None = None
        self._halved = 0

    def pop_halved(self) -> int:
        """How many batches were halved since this was last asked; a half that is halved again counts again."""
        halved, self._halved = self._halved, 0
        return halved

    def forward(
        self,
        clips: Sequence[np.ndarray],
        media: Media,
        texts: Sequence[str] | None,
        inputs: "Mapping[str, torch.Tensor]",
        points: Sequence[str],
    ) -> "dict[str, list[torch.Tensor]]":
        """As the encoder's own, of resized pixels [T, H, W, 3] and the `inputs` that were made of them.

        Raises `ModelError` where the memory does not hold a single sample.
        """
        grids = (self._rule.grids_of(self._encoder, Grid(*clip.shape[:3]), media) for clip in clips)
        tokens = sum(grid["patch"].tokens for grid in grids)
        if self._too_many is None or tokens < self._too_many or len(clips) == 1:
            features = self._try(inputs, points)
            if features is not None:
                return self._rule.regrouped(features, [len(clip) for clip in clips], media)
            self._too_many = tokens
        if len(clips) == 1:
            raise ModelError(
                f"the memory of {self._encoder.device} does not hold a single sample of {tokens} patches; "
                "use a smaller --size, fewer --points or another --device"
            )
        self._halved += 1
        middle = len(clips) // 2
        halves = [
            self.forward(
                clips[half], media, words, self._rule.preprocess(self._encoder, clips[half], media, words), points
            )
            for half in (slice(middle), slice(middle, None))
            for words in [texts if texts is None else texts[half]]
        ]
        return {point: [*halves[0][point], *halves[1][point]] for point in points}

    def _try(
        self, inputs: "Mapping[str, torch.Tensor]", points: Sequence[str]
    ) -> "dict[str, list[torch.Tensor]] | None":
        """None where the memory did not hold it; what it held of the failed pass is free again on return."""
        import torch

        try:
            return self._encoder.forward(inputs, points)
        except torch.OutOfMemoryError:
            pass
        if self._encoder.device.type == "cuda":
            torch.cuda.empty_cache()
        return None
