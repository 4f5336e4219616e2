"""Model families, one file each. This folder is the registry: a file `qwen2_5_vl.py` is the family `qwen2_5_vl`.

A family says where its taps are, how raw media become model inputs, and how each tap's output is brought
into raster order. To add one, add a file with a class `Family` that derives from `Encoder`; the contract
suite in `tests/foresight_cache/encoders` then runs over it by itself.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.samples import Grid, Media

if TYPE_CHECKING:
    import numpy as np
    import torch

Level = Literal["patch", "merged"]
"""Whether a tap's tokens lie on the patch grid or on the coarser grid that the language model sees."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tap:
    """A place in the model, as data."""

    name: str
    """Model-independent name, such as `vit.block_08`."""
    module: str
    """Path of the module inside the model, such as `visual.blocks.7`."""
    side: Literal["input", "output"]
    """Which side of the module is the tap."""
    level: Level
    width: int
    """Channels, read from the model's configuration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOptions:
    """How a model is loaded; part of a cache's fingerprint."""

    dtype: Literal["bfloat16", "float32", "float16"] = "bfloat16"
    """Number type of weights and activations, and of what is stored."""
    device: str = "auto"
    """A torch device, or `auto`: the first GPU, else the CPU."""
    prompt: str = "Describe the image."
    """Text of the one user turn, after the image or clip."""


class Encoder(ABC):
    """A frozen model whose intermediate tokens can be read in raster order."""

    family: ClassVar[str]
    options: LoadOptions
    device: "torch.device"
    taps: tuple[Tap, ...]
    """In the order of computation; the last requested one is where the forward pass stops."""
    patch_multiple: int
    """Heights and widths of inputs must be multiples of this many pixels (patch size times merge size)."""

    @classmethod
    @abstractmethod
    def load(cls, model: str, options: LoadOptions) -> Self:
        """Loads a hub id, a local directory, or `tiny:<family>`. Raises `ModelError`."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """The model's fields of a cache's fingerprint, JSON values.

        At least `name`, `revision`, `weights` (`pretrained` or `random`), `weights_digest` and `dtype`.
        """

    @abstractmethod
    def native_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that the model's own processor resizes an input to."""

    @abstractmethod
    def max_tokens(self, level: Level, frames: int) -> int:
        """The most tokens that a natively sized input of this many frames can have on a level."""

    @property
    @abstractmethod
    def max_pixels(self) -> int:
        """The most pixels that a natively sized frame can have."""

    @abstractmethod
    def grid(self, level: Level, frames: int, height: int, width: int) -> Grid:
        """The grid of an input of this size. Raises `UsageError` where the size is not possible."""

    @abstractmethod
    def preprocess(self, clips: Sequence["np.ndarray"], media: Media) -> Mapping[str, "torch.Tensor"]:
        """Model inputs on the CPU for a batch of uint8 arrays [T, H, W, 3], already resized; T = 1 for images.

        Safe to call in another thread than `forward`. Sizes may differ within the batch.
        """

    @abstractmethod
    def forward(self, inputs: Mapping[str, "torch.Tensor"], taps: Sequence[str]) -> dict[str, list["torch.Tensor"]]:
        """One forward pass that stops at the deepest of `taps`.

        Per tap and sample a tensor [N, D] on the model's device and in its number type, in raster order.
        """


def names() -> tuple[str, ...]:
    """Families, by file name; nothing is imported."""
    return tuple(module.name for module in pkgutil.iter_modules(__path__))


def family_of(model: str) -> str:
    """The family of a model text: `tiny:<family>`, else read from the model's configuration.

    Raises `UnknownName` and `ModelError`.
    """
    scheme, separator, rest = model.partition(":")
    if separator and scheme == "tiny":
        if rest not in names():
            raise UnknownName("model family", rest, names())
        return rest
    if not model.strip():
        raise UsageError("no model was named; name a hub id, a local directory or tiny:<family>")
    from foresight_cache.model_files import model_type

    kind = model_type(model)
    if kind not in names():
        raise UnknownName("model family", kind, names())
    return kind


def load(model: str, options: LoadOptions) -> Encoder:
    """Loads the encoder that a model text names. Raises `UnknownName` and `ModelError`."""
    module = importlib.import_module(f"{__name__}.{family_of(model)}")
    return cast(type[Encoder], module.Family).load(model, options)
