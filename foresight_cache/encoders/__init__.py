"""Model families, one file each. This folder is the registry: a file `qwen2_5_vl.py` is the family `qwen2_5_vl`.

A family says where its taps are, how raw media become model inputs, and how each tap's output is brought
into raster order. To add one, add a file with a class `Family` that derives from `Encoder`, best through one of the
shared shapes in `architectures/`; the contract suite in `tests/foresight_cache/encoders` then runs over it by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.points import Point
from foresight_cache.registry import Registry
from foresight_cache.samples import Grid, Media

if TYPE_CHECKING:
    import numpy as np
    import torch

TapLevel = Literal["patch", "merged"]
"""Whether a tap's tokens lie on the patch grid or on the coarser grid that the language model sees."""
PromptMedia = Literal["image", "clip", "images"]
"""As what a model is given a sample: an image, a clip, or frames that are several images of one prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tap:
    """A place in the model, as data."""

    name: str
    """Model-independent name, such as `vit.block_08`."""
    module: str
    """Path of the module inside the model, such as `visual.blocks.7`."""
    side: Literal["input", "output"]
    """Which side of the module is the tap."""
    level: TapLevel
    width: int
    """Channels, read from the model's configuration."""
    leading: int = 0
    """Class and register tokens that stand before the raster tokens; the first one is the class token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOptions:
    """How a model is loaded; part of a cache's fingerprint."""

    dtype: Literal["bfloat16", "float32", "float16"] = "bfloat16"
    """Number type of weights and activations, and of what is stored."""
    device: str = "auto"
    """A torch device, or `auto`: the first GPU, else the CPU."""
    prompt: str = "Describe the image."
    """Text of the one user turn, after the image or clip; `{question}` stands for the sample's own question."""
    attention: str = "sdpa"
    """Attention implementation, in the words of transformers: `sdpa`, `eager`, `flash_attention_2` …"""
    compiled: bool = False
    """Whether blocks and layers are compiled, which takes a while at first and changes the last bits."""


class Encoder(ABC):
    """A frozen model whose intermediate tokens can be read in raster order."""

    family: ClassVar[str]
    options: LoadOptions
    device: "torch.device"
    media: ClassVar[tuple[Media, ...]]
    """What the family takes."""
    takes_prompt: ClassVar[bool] = False
    """Whether there is a prompt, in which images may stand."""
    taps: tuple[Tap, ...]
    """In the order of computation; the last requested one is where the forward pass stops."""
    patch_multiple: int
    """Pixels along a side of what one token of the coarsest grid sees (patch size times merge size)."""

    @classmethod
    @abstractmethod
    def load(cls, model: str, options: LoadOptions, taps: Sequence[str] | None = None) -> Self:
        """Loads a hub id, a local directory, `tiny:<family>` or `random:<hub id or directory>`.

        With `taps`, only what the deepest of them needs is loaded. Raises `ModelError`.
        """

    @classmethod
    @abstractmethod
    def describe(cls, model: str, options: LoadOptions) -> Self:
        """Knows taps and the grids of sizes, from the configuration alone, and no more. Raises `ModelError`."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """The model's fields of a cache's fingerprint, JSON values.

        At least `name`, `revision`, `weights` (`pretrained` or `random`), `weights_digest` and `dtype`.
        """

    @abstractmethod
    def native_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that an input is resized to where no size is asked for."""

    @abstractmethod
    def nearest_size(self, height: int, width: int) -> tuple[int, int]:
        """The possible height and width in pixels that are nearest to these."""

    @abstractmethod
    def max_tokens(self, level: TapLevel, frames: int) -> int:
        """The most tokens that a natively sized input of this many frames can have on a level."""

    @property
    @abstractmethod
    def max_pixels(self) -> int:
        """The most pixels that a natively sized frame can have."""

    @abstractmethod
    def grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:
        """The grid of an input of this size. Raises `UsageError` where the size is not possible."""

    @abstractmethod
    def preprocess(
        self, clips: Sequence["np.ndarray"], media: PromptMedia, texts: Sequence[str] | None = None
    ) -> Mapping[str, "torch.Tensor"]:
        """Model inputs on the CPU for a batch of uint8 arrays [T, H, W, 3], already resized; T = 1 for an image.

        `texts` are the user's words to each sample; without them, what follows the last visual token is left out,
        which no visual token of a causal model can see. Safe to call in another thread than `forward`. Sizes may
        differ within the batch.
        """

    @abstractmethod
    def forward(self, inputs: Mapping[str, "torch.Tensor"], points: Sequence[str]) -> dict[str, list["torch.Tensor"]]:
        """One forward pass that stops at the deepest tap of `points`.

        Per point (a tap, or `tap@readout`) and sample a tensor on the model's device and in its number type: tokens
        [N, D] in raster order, or [1, D] for a readout of one vector. `last_query` needs inputs with `texts`.
        """

    def check_points(self, points: Sequence[Point]) -> None:
        """Raises `UsageError` for a readout that a tap cannot have."""
        taps = {tap.name: tap for tap in self.taps}
        for point in points:
            if point.readout == "last_query" and not point.tap.startswith("llm."):
                raise UsageError(f"{point} is not possible: the prompt's tokens exist at llm.* taps only")
            if point.readout == "cls" and not taps[point.tap].leading:
                having = ", ".join(name for name, tap in taps.items() if tap.leading) or f"no tap of {self.family}"
                raise UsageError(f"{point} is not possible: a class token is there at {having}")


TINY, RANDOM = "tiny", "random"
"""Schemes of model texts: `tiny:<family>` and `random:<hub id or directory>`."""


_REGISTRY = Registry(__name__, "model family")


def names() -> tuple[str, ...]:
    """Families, by file name; nothing is imported."""
    return _REGISTRY.names()


def family_of(model: str) -> str:
    """The family of a model text: that of `tiny:<family>`, else read from the model's configuration.

    Raises `UnknownName` and `ModelError`.
    """
    scheme, _, rest = model.partition(":")
    if scheme == TINY and rest != "":
        if rest not in names():
            raise UnknownName("model family", rest, names())
        return rest
    place = rest if scheme == RANDOM else model
    if not place.strip():
        raise UsageError("no model was named; name a hub id, a local directory, tiny:<family> or random:<model>")
    from foresight_cache.encoders.weights.model_files import model_type

    # A vision tower that was saved alone, such as `clip_vision_model`, is of the family of the whole.
    kind = model_type(place).removesuffix("_vision_model")
    if kind not in names():
        raise UnknownName("model family", kind, names())
    return kind


def load(model: str, options: LoadOptions, taps: Sequence[str] | None = None) -> Encoder:
    """Loads the encoder that a model text names, or the part that `taps` need.

    Raises `UnknownName` and `ModelError`.
    """
    return _family(model).load(model, options, taps)


def describe(model: str, options: LoadOptions) -> Encoder:
    """The encoder that a model text names, without its weights. Raises `UnknownName` and `ModelError`."""
    return _family(model).describe(model, options)


def _family(model: str) -> type[Encoder]:
    return cast(type[Encoder], _REGISTRY.module(family_of(model)).Family)
