"""How samples become what a model is given: which frames, at which size, as one clip or as images of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from foresight_cache.encoders import Encoder
from foresight_cache.errors import BadSample, UsageError
from foresight_cache.extraction.batching import batches
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.format.layout import POOLED_GRID, DType, Level, PointLayout
from foresight_cache.geometry import Fit, Placement, placement_for
from foresight_cache.media.clips import decode_clip
from foresight_cache.media.images import decode_image, fit_image
from foresight_cache.media.labels import check_labels, decode_labels, fit_labels
from foresight_cache.media.sampling import CHOICE, Sampling
from foresight_cache.samples import Grid, Media, Sample
from foresight_cache.shards.members import frames_of, labelled_frames, labels_of

if TYPE_CHECKING:
    import torch

ClipsAs = Literal["video", "images", "prompt"]
Grids = dict[str, Grid]
"""By level: `pixel`, `patch`, `merged`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """All that decides a sample's grids; what it says follows from the sample's record, without its pixels."""

    size: InputSize
    """Size that images and frames are resized to."""
    sampling: Sampling
    """Which frames of a clip are taken."""
    fit: Fit = "stretch"
    """Whether an input fills that size, or keeps its proportions and is bordered."""
    clips_as: ClipsAs
    """`video` gives the model a clip as a clip; `images` gives it each frame alone, which then knows of no other;
    `prompt` gives it the frames as images of one prompt."""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """From the section `input` of a fingerprint, which says nothing of clips where there are none."""
        return cls(
            size=InputSize.parse(record["size"]),
            fit=record["fit"],
            sampling=Sampling(frames=record.get("frames") or 1, per_second=record.get("frames_per_second")),
            clips_as=record.get("clips_as") or "video",
        )

    def to_json(self, media: Media) -> dict[str, Any]:
        """The section `input` of a fingerprint."""
        common = {"size": str(self.size), "fit": self.fit, "resize": "bicubic, antialiased"}
        if media == "image":
            return common
        sampling = {"frames": self.sampling.frames, "frames_per_second": self.sampling.per_second}
        return {**common, **sampling, "frame_choice": CHOICE, "clips_as": self.clips_as}

    def grids(self, encoder: Encoder, sample: Sample) -> Grids:
        """Of a sample on every level. Raises `BadSample` where the model cannot take it."""
        size = self.size.of(encoder, sample.height, sample.width)
        return self.grids_of(encoder, Grid(self.sampling.count(sample), *size), sample.media)

    def point_layout(self, encoder: Encoder, level: Level, dtype: DType, width: int, media: Media) -> PointLayout:
        """Of a point on a level: of one size where every sample has it. Raises `UsageError` for a wrong size."""
        if common := self.common_grids(encoder, media):
            return PointLayout.fixed(level, dtype, common[level].tokens, width)
        return PointLayout.ragged(level, dtype, self._most_tokens(encoder, level, media), width)

    def common_grids(self, encoder: Encoder, media: Media) -> Grids | None:
        """The grids of all samples, where these follow from the rule alone. Raises `UsageError` for a wrong size."""
        if not self.size.fixed or (media == "clip" and self.sampling.per_second):
            return None
        return self.grids_of(encoder, Grid(self._most_frames(media), *self.size.fixed), media)

    def batches(self, encoder: Encoder, samples: Sequence[Sample], budget: int) -> list[list[int]]:
        """Positions of the samples of a shard that go through the model together, see `batching`.

        Those that the model cannot take, which decoding will find again, make a batch of their own at the start.
        """
        usable: dict[int, Grids] = {}
        for position, sample in enumerate(samples):
            try:
                usable[position] = self.grids(encoder, sample)
            except BadSample:
                continue
        positions = list(usable)
        tokens = [grids["patch"].tokens for grids in usable.values()]
        planned = batches([grids["pixel"] for grids in usable.values()], tokens, budget)
        unusable = [position for position in range(len(samples)) if position not in usable]
        return [unusable] * bool(unusable) + [[positions[place] for place in batch] for batch in planned]

    def pixels(self, encoder: Encoder, sample: Sample, members: Mapping[str, bytes]) -> np.ndarray:
        """The sampled frames, resized, uint8 [T, H, W, 3]. Raises `BadSample`."""
        placement = self._placement(encoder, sample)

        def fitted(frame: np.ndarray) -> np.ndarray:
            _check_size(sample, frame, f"the {sample.media} is")
            return fit_image(frame, placement)

        if sample.media == "clip":
            return decode_clip(members, self.sampling.indices(sample), fitted)
        return fitted(decode_image(frames_of(members)[0]))[np.newaxis]

    def labels(self, encoder: Encoder, sample: Sample, members: Mapping[str, bytes]) -> np.ndarray:
        """Dense labels of the resized pixels, uint8 [T·H·W, 1]; a frame without labels is to be ignored everywhere.

        Raises `BadSample` where there are none, or others than the annotations describe.
        """
        encoded = dict(zip(labelled_frames(members), labels_of(members), strict=True))
        if not encoded:
            raise BadSample("it has no dense labels, which its dataset promises")
        placement = self._placement(encoder, sample)
        unknown = (sample.annotations.get("labels") or {}).get("ignore") or 0
        frames = []
        for index in self.sampling.indices(sample):
            if index not in encoded:
                frames.append(np.full((placement.height, placement.width), unknown, np.uint8))
                continue
            labels = decode_labels(encoded[index])
            check_labels(labels, sample)
            _check_size(sample, labels, "its labels are")
            frames.append(fit_labels(labels, placement, unknown))
        return np.stack(frames).reshape(-1, 1)

    def check_media(self, encoder: Encoder, media: Media) -> None:
        """Raises `UsageError` where the model has no video path and is to be given clips."""
        if self._as_clip(media) and "clip" not in encoder.media:
            raise UsageError(
                f"{encoder.family} takes images and these shards hold clips; give it each frame by --clips-as images"
            )
        if media == "clip" and self.clips_as == "prompt" and not encoder.takes_prompt:
            raise UsageError(f"{encoder.family} has no prompt; give it each frame by --clips-as images")

    def preprocess(
        self, encoder: Encoder, pixels: Sequence[np.ndarray], media: Media, texts: Sequence[str] | None = None
    ) -> "Mapping[str, torch.Tensor]":
        """Model inputs for the resized pixels [T, H, W, 3] of a batch and the user's words; none for no samples."""
        if not pixels:
            return {}
        if self._as_clip(media):
            return encoder.preprocess(pixels, "clip", texts)
        if media == "clip" and self.clips_as == "prompt":
            return encoder.preprocess(pixels, "images", texts)
        # Frames of a clip stand alone and have no words: only tokens are kept of them.
        return encoder.preprocess([frame[np.newaxis] for clip in pixels for frame in clip], "image", texts)

    def regrouped(
        self, features: "Mapping[str, Sequence[torch.Tensor]]", frames: Sequence[int], media: Media
    ) -> "dict[str, list[torch.Tensor]]":
        """Tokens [N, D] of each sample, where the model was given each of its `frames` as an image of its own."""
        if self._as_clip(media) or self.clips_as == "prompt" or all(count == 1 for count in frames):
            return {point: list(tokens) for point, tokens in features.items()}
        import torch

        ends = np.cumsum(frames).tolist()
        return {
            point: [torch.cat(list(images[end - count : end])) for end, count in zip(ends, frames, strict=True)]
            for point, images in features.items()
        }

    def _placement(self, encoder: Encoder, sample: Sample) -> Placement:
        size = sample.height, sample.width
        return placement_for(size, self.size.of(encoder, *size), self.fit)

    def grids_of(self, encoder: Encoder, pixel: Grid, media: Media) -> Grids:
        """Where the pixels are known; frames that are given one by one have a time step each."""
        if self._as_clip(media):
            return {"pixel": pixel, **{level: encoder.grid(level, *pixel) for level in ("patch", "merged")}}
        alone = {level: encoder.grid(level, 1, pixel.h, pixel.w) for level in ("patch", "merged")}
        return {"pixel": pixel, **{level: Grid(pixel.t, grid.h, grid.w) for level, grid in alone.items()}}

    def _most_frames(self, media: Media) -> int:
        return 1 if media == "image" else self.sampling.frames

    def _most_tokens(self, encoder: Encoder, level: Level, media: Media) -> int:
        """Of a sample on a level. Raises `UsageError` for a wrong size."""
        if level == "pooled":
            return POOLED_GRID.tokens
        frames = self._most_frames(media)
        if self.size.fixed:
            return self.grids_of(encoder, Grid(frames, *self.size.fixed), media)[level].tokens
        if level == "pixel":
            return frames * encoder.max_pixels
        if self._as_clip(media):
            return encoder.max_tokens(level, frames)
        return frames * encoder.max_tokens(level, 1)

    def _as_clip(self, media: Media) -> bool:
        return media == "clip" and self.clips_as == "video"


def _check_size(sample: Sample, decoded: np.ndarray, what: str) -> None:
    if decoded.shape[:2] != (sample.height, sample.width):
        raise BadSample(
            f"{what} {decoded.shape[1]}x{decoded.shape[0]} pixels, its record says {sample.width}x{sample.height}"
        )
