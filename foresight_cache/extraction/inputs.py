"""Samples on their way into a model: their grids, pixels, labels, words, and the tensors made of these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from foresight_cache.encoders import Encoder
from foresight_cache.encoders.bases.prompts import render_prompt
from foresight_cache.errors import BadSample, UsageError
from foresight_cache.extraction.batching import batches
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import MOST_TEXT_TOKENS, POOLED_GRID, DType, Level, PointLayout
from foresight_cache.geometry import Placement, placement_for
from foresight_cache.media.blank import blanked
from foresight_cache.media.clips import decode_timed_clip
from foresight_cache.media.frame_times import clip_times
from foresight_cache.media.images import decode_image, fit_image
from foresight_cache.media.labels import check_labels, decode_labels, fit_labels
from foresight_cache.points import OF_TEXT, Point
from foresight_cache.samples import ClipTimes, Grid, Media, Sample
from foresight_cache.shards.members import frames_of, labelled_frames, labels_of

if TYPE_CHECKING:
    import torch

Grids = dict[str, Grid]
"""Grids of one sample by level: `pixel`, `patch`, `merged`."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs that an encoder is given for samples of one kind of media, by an `InputSpec`."""

    encoder: Encoder
    spec: InputSpec
    media: Media
    """Kind of all samples."""

    def __post_init__(self) -> None:
        """Raises `UsageError` where the model cannot be given clips in this form."""
        if self._as_clip and "clip" not in self.encoder.media:
            raise UsageError(
                f"{self.encoder.family} takes images and these shards hold clips; "
                "give it each frame by --clips-as images"
            )
        if self.media == "image" and self.spec.reverse != "none":
            raise UsageError("--reverse plays clips backwards and these shards hold images; leave it out")
        if self._in_one_prompt and not self.encoder.takes_prompt:
            raise UsageError(f"{self.encoder.family} has no prompt; give it each frame by --clips-as images")
        if self._as_clip:
            self._check_frames()
        if self.spec.blank_image != "none":
            self._check_words()

    def grids(self, sample: Sample) -> Grids:
        """Returns the grids of a sample on every level. Raises `BadSample` where the model cannot take it."""
        return self.grids_of(Grid(self.spec.sampling.count(sample), *self._size(sample)))

    def grids_of(self, pixel: Grid) -> Grids:
        """Returns the grids of an input with this grid of pixels. Frames that are given alone have a time step each."""
        if self._as_clip:
            return {"pixel": pixel, **{level: self.encoder.grid(level, *pixel) for level in ("patch", "merged")}}
        frame = {level: self.encoder.grid(level, 1, pixel.h, pixel.w) for level in ("patch", "merged")}
        return {"pixel": pixel, **{level: Grid(pixel.t, grid.h, grid.w) for level, grid in frame.items()}}

    def common_grids(self) -> Grids | None:
        """Returns the grids that all samples have, or None where they differ. Raises `UsageError` for a wrong size."""
        if not self.spec.size.fixed or (self.media == "clip" and self.spec.sampling.per_second):
            return None
        return self.grids_of(Grid(self._most_frames, *self.spec.size.fixed))

    def point_layout(self, level: Level, dtype: DType, width: int) -> PointLayout:
        """Returns the layout of an array on a level: of one size where all samples share it.

        Raises `UsageError` for a wrong size.
        """
        if level != "text" and (common := self.common_grids()):
            return PointLayout.fixed(level, dtype, common[level].tokens, width)
        return PointLayout.ragged(level, dtype, self._most_tokens(level), width)

    def row(self, sample: Sample, times: ClipTimes | None = None) -> SampleRow:
        """Returns the row of a good sample in the sample table; `times` are those of the frames of a clip."""
        frames = tuple(self.spec.frames(sample))
        return SampleRow(
            sample=sample,
            status="ok",
            reason=None,
            grids=self.grids(sample),
            frames=frames,
            seconds=times.measured if times else None,
            reversed=self.spec.reverses(sample),
        )

    def batches(self, samples: Sequence[Sample], budget: int) -> list[list[int]]:
        """Returns the positions of the samples of a shard that go through the model together, see `batching`.

        Samples that the model cannot take, which decoding will find again, make a batch of their own at the start.
        """
        usable: dict[int, Grids] = {}
        for position, sample in enumerate(samples):
            try:
                usable[position] = self.grids(sample)
            except BadSample:
                continue
        positions = list(usable)
        tokens = [grids["patch"].tokens for grids in usable.values()]
        planned = batches([grids["pixel"] for grids in usable.values()], tokens, budget)
        unusable = [position for position in range(len(samples)) if position not in usable]
        return [unusable] * bool(unusable) + [[positions[index] for index in batch] for batch in planned]

    def pixels(self, sample: Sample, members: Mapping[str, bytes]) -> np.ndarray:
        """Returns the sampled frames, resized, uint8 [T, H, W, 3], blank where they are to be. Raises `BadSample`."""
        return self.decoded(sample, members)[0]

    def decoded(self, sample: Sample, members: Mapping[str, bytes]) -> tuple[np.ndarray, ClipTimes | None]:
        """Returns what `pixels` does, and when these frames are shown, where they are of a clip. Raises `BadSample`."""
        placement = self._placement(sample)

        def fitted(frame: np.ndarray) -> np.ndarray:
            _check_size(sample, frame, f"the {sample.media} is")
            return fit_image(frame, placement)

        if self.media == "image":
            picture = fitted(decode_image(frames_of(members)[0]))[np.newaxis]
            return blanked(picture, self.spec.blank_image, sample.id, placement), None
        clip = decode_timed_clip(members, self.spec.frames(sample), fitted)
        shown = blanked(clip.pixels, self.spec.blank_image, sample.id, placement)
        return shown, clip_times(sample, self.spec.sampling.indices(sample), clip.seconds)

    def seen(self, pixels_THWC: np.ndarray) -> np.ndarray:
        """Returns the part of a sample's pixels that its tokens see: a tower may leave some at the right and below."""
        height, width = self.encoder.seen_size(*pixels_THWC.shape[1:3])
        return pixels_THWC[:, :height, :width]

    def labels(self, sample: Sample, members: Mapping[str, bytes]) -> np.ndarray:
        """Returns the dense labels of the resized pixels, uint8 [T·H·W, 1]; a frame without labels is all `ignore`.

        Raises `BadSample` where there are none, or others than the annotations describe.
        """
        encoded = dict(zip(labelled_frames(members), labels_of(members), strict=True))
        if not encoded:
            raise BadSample("it has no dense labels, which its dataset promises")
        placement = self._placement(sample)
        unknown = (sample.annotations.get("labels") or {}).get("ignore") or 0
        frames = []
        for index in self.spec.frames(sample):
            if index not in encoded:
                frames.append(np.full((placement.height, placement.width), unknown, np.uint8))
                continue
            labels = decode_labels(encoded[index])
            check_labels(labels, sample)
            _check_size(sample, labels, "its labels are")
            frames.append(fit_labels(labels, placement, unknown))
        return np.stack(frames).reshape(-1, 1)

    def runs_text(self, points: Iterable[Point]) -> bool:
        """Tells whether the prompt is run to its end for these points, and not only to the last visual token."""
        return self.encoder.sees_prompt or any(point.readout in OF_TEXT for point in points)

    def text(self, annotations: Mapping[str, Any]) -> str:
        """Returns the user's prompt for a sample.

        Raises `BadSample` where it has no question that the prompt needs, or one with more than plain text in it.
        """
        text = render_prompt(self.encoder.options.prompt, annotations)
        self.encoder.check_text(text)
        return text

    def preprocess(
        self,
        clips: Sequence[np.ndarray],
        texts: Sequence[str] | None = None,
        times: Sequence[ClipTimes | None] | None = None,
    ) -> "Mapping[str, torch.Tensor]":
        """Returns the model's inputs for a batch of resized pixels [T, H, W, 3] and the user's words to each.

        `times` say when the frames of each clip are shown. No samples have no inputs.
        """
        if not clips:
            return {}
        if self._as_clip:
            return self.encoder.preprocess(clips, "clip", texts, times)
        if self._in_one_prompt:
            return self.encoder.preprocess(clips, "images", texts)
        # Frames of a clip stand alone: only tokens are kept of them.
        words = texts and [text for clip, text in zip(clips, texts, strict=True) for _ in clip]
        return self.encoder.preprocess([frame[np.newaxis] for clip in clips for frame in clip], "image", words)

    def regrouped(
        self, features: "Mapping[str, Sequence[torch.Tensor]]", frames: Sequence[int]
    ) -> "dict[str, list[torch.Tensor]]":
        """Returns the tokens [N, D] of each sample by point, where its `frames` went through the model one by one."""
        if self._as_clip or self.spec.clips_as == "prompt" or all(count == 1 for count in frames):
            return {point: list(tokens) for point, tokens in features.items()}
        import torch

        ends = np.cumsum(frames).tolist()
        return {
            point: [torch.cat(list(images[end - count : end])) for end, count in zip(ends, frames, strict=True)]
            for point, images in features.items()
        }

    def _check_frames(self) -> None:
        """Raises `UsageError` for numbers of frames that the model cannot take."""
        frames, encoder = self.spec.sampling.frames, self.encoder
        if (near := encoder.nearest_frames(frames)) != frames:
            raise UsageError(
                f"--frames {frames} is not possible for {encoder.family}: its clips have {encoder.frame_rule} frames; "
                f"the nearest number is {near}"
            )
        if self.spec.sampling.per_second and any(encoder.nearest_frames(count) != count for count in range(1, frames)):
            raise UsageError(
                f"--fps takes as many frames as a clip is long, and clips of {encoder.family} have "
                f"{encoder.frame_rule} frames; leave --fps out"
            )

    def _check_words(self) -> None:
        """Raises `UsageError` where a blank picture leaves nothing at all to see."""
        words = "--blank-image leaves the words of the prompt alone"
        if not self.encoder.takes_prompt:
            raise UsageError(f"{words}, and {self.encoder.family} has no prompt; leave it out")
        if not self.encoder.options.prompt.strip():
            raise UsageError(f"{words}, and --prompt is empty; leave one of them out")

    @property
    def _as_clip(self) -> bool:
        return self.media == "clip" and self.spec.clips_as == "video"

    @property
    def _in_one_prompt(self) -> bool:
        return self.media == "clip" and self.spec.clips_as == "prompt"

    @property
    def _most_frames(self) -> int:
        return 1 if self.media == "image" else self.spec.sampling.frames

    def _most_tokens(self, level: Level) -> int:
        """Raises `UsageError` for a wrong size."""
        if level == "pooled":
            return POOLED_GRID.tokens
        if level == "text":
            return MOST_TEXT_TOKENS
        if self.spec.size.fixed:
            return self.grids_of(Grid(self._most_frames, *self.spec.size.fixed))[level].tokens
        frames = self._most_frames
        if level == "pixel":
            return self.encoder.max_clip_pixels(frames) if self._as_clip else frames * self.encoder.max_pixels
        if self._as_clip:
            return self.encoder.max_clip_tokens(level, frames)
        return frames * self.encoder.max_tokens(level, 1)

    def _size(self, sample: Sample) -> tuple[int, int]:
        """Height and width that a sample is resized to."""
        if self.spec.size.fixed:
            return self.spec.size.fixed
        if self._as_clip:
            return self.encoder.native_clip_size(self.spec.sampling.count(sample), sample.height, sample.width)
        return self.encoder.native_size(sample.height, sample.width)

    def _placement(self, sample: Sample) -> Placement:
        return placement_for((sample.height, sample.width), self._size(sample), self.spec.fit)


def _check_size(sample: Sample, decoded: np.ndarray, what: str) -> None:
    if decoded.shape[:2] != (sample.height, sample.width):
        raise BadSample(
            f"{what} {decoded.shape[1]}x{decoded.shape[0]} pixels, its record says {sample.width}x{sample.height}"
        )
