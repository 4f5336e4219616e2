"""Batches that the device's memory does not hold are computed in halves, and the halves are counted."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foresight_cache.errors import ModelError
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.samples import ClipTimes, Grid

if TYPE_CHECKING:
    import torch

Forward = Callable[["Mapping[str, torch.Tensor]", Sequence[str]], "dict[str, list[torch.Tensor]]"]
"""Forward pass for model inputs and points, as `Encoder.forward`."""


class Halving:
    """Forward passes that halve a batch which runs out of memory; a size that did not fit is not tried again."""

    def __init__(self, inputs: Inputs, forward: Forward) -> None:
        self._inputs, self._forward = inputs, forward
        self._device = inputs.encoder.device
        self._too_many: int | None = None
        self._halved = 0

    def pop_halved(self) -> int:
        """Returns how many batches were halved since the last call; a half that is halved again counts again."""
        halved, self._halved = self._halved, 0
        return halved

    def forward(
        self,
        clips: Sequence[np.ndarray],
        texts: Sequence[str] | None,
        times: Sequence[ClipTimes | None],
        model_inputs: "Mapping[str, torch.Tensor]",
        points: Sequence[str],
    ) -> "dict[str, list[torch.Tensor]]":
        """Returns the tokens [N, D] of each sample by point, from resized pixels [T, H, W, 3] and their model inputs.

        Raises `ModelError` where the memory does not hold a single sample.
        """
        tokens = sum(self._inputs.grids_of(Grid(*clip.shape[:3]))["patch"].tokens for clip in clips)
        if self._too_many is None or tokens < self._too_many or len(clips) == 1:
            features = self._try(model_inputs, points)
            if features is not None:
                return self._inputs.regrouped(features, [len(clip) for clip in clips])
            self._too_many = tokens
        if len(clips) == 1:
            raise ModelError(
                f"the memory of {self._device} does not hold a single sample of {tokens} patches; "
                "use a smaller --size, fewer --points or another --device"
            )
        return self._halves(clips, texts, times, points)

    def _halves(
        self,
        clips: Sequence[np.ndarray],
        texts: Sequence[str] | None,
        times: Sequence[ClipTimes | None],
        points: Sequence[str],
    ) -> "dict[str, list[torch.Tensor]]":
        self._halved += 1
        middle = len(clips) // 2
        halves = [
            self.forward(
                clips[half], words, times[half], self._inputs.preprocess(clips[half], words, times[half]), points
            )
            for half in (slice(middle), slice(middle, None))
            for words in [texts if texts is None else texts[half]]
        ]
        return {point: [*halves[0][point], *halves[1][point]] for point in points}

    def _try(
        self, model_inputs: "Mapping[str, torch.Tensor]", points: Sequence[str]
    ) -> "dict[str, list[torch.Tensor]] | None":
        """None where the memory did not hold it; what it held of the failed pass is free again on return."""
        import torch

        try:
            return self._forward(model_inputs, points)
        except torch.OutOfMemoryError:
            pass
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None
