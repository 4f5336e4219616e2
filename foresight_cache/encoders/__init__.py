"""Frozen models, one family in each file: where their taps are, and what every encoder can do.

This folder is the registry: the file `qwen2_5_vl.py` is the family `qwen2_5_vl`. To add one, add a file with a class
`Family` that derives from `Encoder`, best through one of the shared shapes in `bases/`; the contract suite in
`tests/cache/encoders` then runs over it by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from foresight_cache.encoders.weights import model_files, near_forms
from foresight_cache.errors import ModelError, UnknownName, UsageError
from foresight_cache.option_help import Flag
from foresight_cache.points import OF_TEXT, Point
from foresight_cache.registry import Registry
from foresight_cache.samples import ClipTimes, Grid, Media

if TYPE_CHECKING:
    import numpy as np
    import torch

TapLevel = Literal["pixel", "patch", "merged"]
"""Grid of a tap's tokens: that of the patches, the coarser one that the language model sees, or, where a model makes a
picture, that of its pixels, uint8."""
PromptMedia = Literal["image", "clip", "images"]
"""Form in which a model gets a sample: an image, a clip, or frames that are several images of one prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tap:
    """A point inside a model at which tokens can be read, as data."""

    name: str
    """Model-independent name, such as `vit.block_08`."""
    module: str
    """Path of the module inside the model, such as `visual.blocks.7`."""
    side: Literal["input", "output"]
    """Side of the module that is the tap."""
    level: TapLevel
    """Grid on which its tokens lie."""
    width: int
    """Channels, read from the model's configuration."""
    leading: int = 0
    """Class and register tokens that stand before the raster tokens; the first one is the class token."""
    trailing: int = 0
    """Tokens that stand behind the raster tokens, such as those that a detector has for its objects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOptions:
    """Options of loading a model, which are part of a cache's fingerprint."""

    prompt: Annotated[
        str, Flag(help="Text of the user turn; {question} stands for the sample's own, which it must then have.")
    ] = "Describe the image."
    dtype: Annotated[
        Literal["bfloat16", "float32", "float16"], Flag(help="Number type of the model and of the stored values.")
    ] = "bfloat16"
    device: Annotated[
        str, Flag(help="Device of the model: auto (the first GPU, else the CPU), cpu, cuda, cuda:1 …")
    ] = "auto"
    device_map: Annotated[
        Literal["one", "auto"],
        Flag(
            help="Keep the model on one device, or share it out over all GPUs and the host by accelerate (auto).",
            name="--device-map",
        ),
    ] = "one"
    attention: Annotated[
        str, Flag(help="Attention kernel, as in transformers: sdpa, eager, flash_attention_2 …", name="--attn")
    ] = "sdpa"
    revision: Annotated[
        str | None, Flag(help="Branch, tag or commit of a hub id, as in --model id@revision.", unset="main")
    ] = None
    compiled: Annotated[
        bool, Flag(help="Use torch.compile on blocks and layers: slow to begin, for long runs.", name="--compile")
    ] = False
    """Switch that compiles blocks and layers, which takes a while at first and changes the last bits."""


class Encoder(ABC):
    """A frozen model whose intermediate tokens can be read in raster order.

    What a family can do is declared here: `taps`, `media`, `sizes`, `takes_prompt`, `sees_prompt`, `patch_multiple`,
    `counts_operations`.
    """

    family: ClassVar[str]
    """Name of the family, which is that of its file."""
    model_class: ClassVar[str]
    """Name of the model's class in transformers, or in another of the `libraries`."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Packages that compute, beside those that do in every family; a cache's fingerprint has their versions."""
    tiny_kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of tiny models beside `tiny:<family>`, each of which is `tiny:<family>-<kind>`."""
    options: LoadOptions
    device: "torch.device"
    media: ClassVar[tuple[Media, ...]]
    """Media that the family takes."""
    sizes: ClassVar[str]
    """Sizes in pixels that the family takes, in words."""
    takes_prompt: ClassVar[bool] = False
    """True for a family that has a prompt, in which several images may stand."""
    sees_prompt: ClassVar[bool] = False
    """True where visual tokens see what comes after them, so that each sample's whole prompt is always run."""
    is_told_times: ClassVar[bool] = False
    """True for a family that is told when the frames of a clip are shown."""
    frame_rule: str = "at least 1"
    """Numbers of frames of a clip that are possible, in words; `nearest_frames` tells which."""
    counts_operations: ClassVar[bool] = False
    """True where all work lies in the modules of taps, so that `planning.operations` can count it."""
    taps: tuple[Tap, ...]
    """All taps in the order of computation; a forward pass stops at the last one that is requested."""
    hindrance: str | None = None
    """What keeps the weights of a model that was described from being loaded here; None where nothing is known."""
    patch_multiple: int
    """Pixels along a side of what one token of the coarsest grid sees (patch size times merge size)."""

    @classmethod
    @abstractmethod
    def load(cls, model: str, options: LoadOptions, taps: Sequence[str] | None = None) -> Self:
        """Loads a hub id, a local directory, `tiny:<family>`, one of its kinds, or `random:<hub id or directory>`.

        With `taps`, only what the deepest of them needs is loaded. Raises `ModelError`.
        """

    @classmethod
    @abstractmethod
    def describe(cls, model: str, options: LoadOptions) -> Self:
        """Makes an encoder from the configuration alone, which knows taps and grids. Raises `ModelError`."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Returns the model's fields of a cache's fingerprint, JSON values.

        At least `name`, `revision`, `weights` (`pretrained` or `random`), `weights_digest` and `dtype`.
        """

    @abstractmethod
    def native_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the height and width in pixels that an input is resized to where no size is asked for."""

    @abstractmethod
    def nearest_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the possible height and width in pixels that are nearest to these."""

    @abstractmethod
    def max_tokens(self, level: TapLevel, frames: int) -> int:
        """Returns the most tokens that a natively sized input of this many frames can have on a level."""

    @property
    @abstractmethod
    def max_pixels(self) -> int:
        """The most pixels that a natively sized frame can have."""

    def nearest_frames(self, frames: int) -> int:
        """Returns the possible number of frames of a clip that is nearest to this one; any is possible unless told."""
        return max(1, frames)

    def native_clip_size(self, frames: int, height: int, width: int) -> tuple[int, int]:  # noqa: ARG002 - see below
        """Returns what `native_size` does for a clip of which so many frames are taken; as of images unless told."""
        return self.native_size(height, width)

    def max_clip_tokens(self, level: TapLevel, frames: int) -> int:
        """Returns the most tokens of a natively sized clip of at most this many frames on a level."""
        return self.max_tokens(level, frames)

    def max_clip_pixels(self, frames: int) -> int:
        """Returns the most pixels of a natively sized clip of at most this many frames, of all of them together."""
        return frames * self.max_pixels

    @abstractmethod
    def grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:
        """Returns the grid of an input of this size in pixels. Raises `UsageError` where the size is not possible."""

    def seen_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the height and width, from the upper left corner, that the tokens of such an input see."""
        return height, width

    @abstractmethod
    def preprocess(
        self,
        clips: Sequence["np.ndarray"],
        media: PromptMedia,
        texts: Sequence[str] | None = None,
        times: Sequence[ClipTimes | None] | None = None,
    ) -> Mapping[str, "torch.Tensor"]:
        """Makes model inputs on the CPU of a batch of uint8 arrays [T, H, W, C], already resized; T = 1 for an image.

        `texts` are the user's words to each sample; without them, what follows the last visual token is left out,
        which no visual token of a causal model can see; where one `sees_prompt`, the prompt is run as it is. `times`
        are those of the frames of each clip, for a model that `is_told_times`; None where nothing says them. Safe to
        call in another thread than `forward`. Sizes may differ within the batch. Raises `UsageError` for a size that
        is not possible, for an image of several frames and for media that the family does not take.
        """

    @abstractmethod
    def check_prompt(self) -> None:
        """Raises `UsageError` for a prompt in the options that the model would take for more than text."""

    @abstractmethod
    def check_text(self, text: str) -> None:
        """Raises `BadSample` for words to a sample that are more than text to the model, or too long."""

    @abstractmethod
    def forward(self, inputs: Mapping[str, "torch.Tensor"], points: Sequence[str]) -> dict[str, list["torch.Tensor"]]:
        """Runs one forward pass that stops at the deepest tap of `points`.

        Returns per point (a tap, or `tap@readout`) and sample a tensor on the model's device and in its number type:
        tokens [N, D] in raster order, or [1, D] for a readout of one vector; `text` has as many as the prompt
        after the visual tokens. Readouts of the prompt's own tokens need inputs with `texts`.
        """

    def attended(self, tap: Tap, grid: Grid, extra: int) -> Sequence[int]:
        """Returns the sizes of the groups of tokens that attend to each other at a block or layer.

        In a tower these are frames with their share of `extra` tokens, in a layer all tokens and `extra` words.
        """
        if tap.name.startswith("llm."):
            return [grid.tokens + extra]
        return [grid.h * grid.w + extra // grid.t] * grid.t

    def check_points(self, points: Sequence[Point]) -> None:
        """Raises `UsageError` for a readout that a tap cannot have."""
        taps = {tap.name: tap for tap in self.taps}
        for point in points:
            if point.readout in OF_TEXT and not point.tap.startswith("llm."):
                raise UsageError(f"{point} is not possible: the prompt's tokens exist at llm.* taps only")
            if point.readout == "cls" and not taps[point.tap].leading:
                having = ", ".join(name for name, tap in taps.items() if tap.leading) or f"no tap of {self.family}"
                raise UsageError(f"{point} is not possible: a class token is there at {having}")


TINY, RANDOM = "tiny", "random"
"""Schemes of model texts: `tiny:<family>` and `random:<hub id or directory>`."""


_REGISTRY = Registry(__name__, "model family", variable="Family")


def names() -> tuple[str, ...]:
    """Returns the families by file name; imports none of them."""
    return _REGISTRY.names()


def family_of(model: str) -> str:
    """Returns the family of a model text: that of `tiny:<family>`, else read from the model's configuration.

    Raises `UnknownName` and `ModelError`.
    """
    scheme, _, rest = model.partition(":")
    if scheme == TINY and rest != "":
        return _tiny_family(rest)
    source = rest if scheme == RANDOM else model
    if not source.strip():
        raise UsageError("no model was named; name a hub id, a local directory, tiny:<family> or random:<model>")
    # A vision tower that was saved alone, such as `clip_vision_model`, is of the family of the whole.
    kind = model_files.model_type(source).removesuffix("_vision_model")
    if instead := near_forms.advice(kind, names()):
        raise ModelError(f"model {source!r} is of the type {kind!r}, which is not supported; {instead}")
    return _known(kind)


def load(model: str, options: LoadOptions, taps: Sequence[str] | None = None) -> Encoder:
    """Loads the encoder that a model text names, or the part that `taps` need.

    Raises `UnknownName` and `ModelError`.
    """
    model = model_files.at_revision(model, options.revision)
    return _family_class(model).load(model, options, taps)


def describe(model: str, options: LoadOptions) -> Encoder:
    """Makes the encoder that a model text names, without its weights. Raises `UnknownName` and `ModelError`."""
    model = model_files.at_revision(model, options.revision)
    return _family_class(model).describe(model, options)


def _tiny_family(text: str) -> str:
    """Returns the family of `dinov2` or, with a kind behind it, `ltx_vae-0.9.1`. Raises `UnknownName`."""
    family, hyphen, _ = text.partition("-")
    if not hyphen or text in names():
        return _known(text)
    kinds = cast(type[Encoder], _REGISTRY.component(_known(family))).tiny_kinds
    if text not in (known := [f"{family}-{kind}" for kind in kinds]):
        raise UnknownName("tiny model", text, [family, *known])
    return family


def _known(family: str) -> str:
    if family not in names():
        raise UnknownName("model family", family, names())
    return family


def _family_class(model: str) -> type[Encoder]:
    return cast(type[Encoder], _REGISTRY.component(family_of(model)))
