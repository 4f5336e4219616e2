"""A model of transformers as an `Encoder`: loading as much as is needed, one forward pass, readouts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from foresight_cache import records
from foresight_cache.encoders import RANDOM, TINY, Encoder, LoadOptions, Tap
from foresight_cache.encoders.capture import readouts
from foresight_cache.encoders.capture.hooks import capture
from foresight_cache.encoders.weights import loading, model_files, tiny_models
from foresight_cache.errors import ModelError, UnknownName
from foresight_cache.points import Point

Hidden = torch.Tensor
"""What a module takes or returns, in the order and shape in which the module has it."""


class TransformersEncoder(Encoder):
    """Everything but the shape of the network: subclasses say how a pass is run and where its tokens are."""

    model_class: ClassVar[str]
    """Name of the model's class in transformers."""
    kept_on_host: ClassVar[frozenset[str]] = frozenset()
    """Inputs that the model itself does not take; to read them from the device would wait for it."""

    def __init__(
        self,
        config: Any,
        processor: Any,
        *,
        options: LoadOptions,
        model: Any = None,
        source: Mapping[str, Any] | None = None,
        deepest_loaded: str | None = None,
    ) -> None:
        """`source` says where the weights are from, in the words of `identity`; `deepest_loaded` is the last tap there.

        Without a model, only what follows from the configuration is known, and no processor is needed.
        """
        self.config = config
        self.processor = processor
        self.options = options
        self.taps = self.taps_of(config)
        self._source = dict(source or {})
        self._deepest_loaded = deepest_loaded
        self.device = model_files.pick_device(options.device)
        self.model = model
        if model is not None:
            self.model = model.to(self.device).eval().requires_grad_(False)
            if options.compiled:
                self._compile()

    # What a family says.

    @classmethod
    @abstractmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Configuration and processor of a small model with every kind of block that the real ones have."""

    @classmethod
    @abstractmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        """All taps in the order of computation, with paths inside `root`."""

    @classmethod
    @abstractmethod
    def load_processor(cls, path: Path) -> Any:
        """Raises `ModelError`."""

    @staticmethod
    @abstractmethod
    def tapped_module(model: nn.Module) -> nn.Module:
        """The module in which taps have their paths."""

    @classmethod
    def leave_out_untapped(cls, model: nn.Module, deepest: str) -> None:
        """Leaves out what comes after a tap and is no tap's module itself."""

    def split_by_size(
        self, inputs: Mapping[str, torch.Tensor]
    ) -> list[tuple[Sequence[int], Mapping[str, torch.Tensor]]]:
        """What can be run together: numbers of samples in the batch, and their inputs. One group unless told so."""
        samples = len(inputs["images"]) if "images" in inputs else len(self.frame_counts(inputs))
        return [(range(samples), inputs)]

    @abstractmethod
    def frame_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        """Frames, or temporal steps, of each sample."""

    @abstractmethod
    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:
        """Runs the part of the model that has these taps; `inputs` are on the model's device but for `kept_on_host`."""

    @abstractmethod
    def raster_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """Each sample's visual tokens at a tap, [N, D], in raster order; `inputs` are on the CPU.

        Where several images stand in a prompt, each image's tokens; `images` among the inputs says how many.
        """

    def last_query(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """Each sample's last token of the prompt at a tap, [1, D]; never asked of a model without a prompt."""
        raise NotImplementedError

    # What follows from it.

    @classmethod
    def load(cls, model: str, options: LoadOptions, taps: Sequence[str] | None = None) -> Self:
        scheme, _, rest = model.partition(":")
        if scheme == TINY:
            return cls._load_random(*cls.tiny(), options, taps, name=model, revision=None)
        is_random = scheme == RANDOM
        name = rest if is_random else model
        place = model_files.directory(name, model_files.TEXT_FILES if is_random else model_files.SAFE_FILES)
        config, processor = loading.load_config(cls.model_class, place), cls.load_processor(place)
        name, revision = model_files.identifier(name), model_files.revision(place)
        if is_random:
            return cls._load_random(config, processor, options, taps, name=f"{RANDOM}:{name}", revision=revision)
        deepest = cls._deepest_tap(config, taps)
        without = cls._without(config, deepest)
        weights = loading.load_pretrained(cls.model_class, place, options.dtype, options.attention, without)
        source = {"name": name, "revision": revision, "weights_digest": model_files.weights_digest(place)}
        return cls(weights.config, processor, options=options, model=weights, source=source, deepest_loaded=deepest)

    @classmethod
    def _load_random(
        cls,
        config: Any,
        processor: Any,
        options: LoadOptions,
        taps: Sequence[str] | None,
        *,
        name: str,
        revision: str | None,
    ) -> Self:
        """With seeded weights. Their digest is that of what they follow from, so that a part has it as well."""
        seed = tiny_models.SEED
        setattr(config, tiny_models.SEED_FIELD, seed)
        recipe = [tiny_models.RECIPE, seed, options.dtype, loading.lasting_config(config.to_dict())]
        deepest = cls._deepest_tap(config, taps)
        without = cls._without(config, deepest)
        weights = loading.make_random(cls.model_class, config, options.dtype, options.attention, without, seed)
        source = {"name": name, "revision": revision, "weights_digest": records.digest(recipe)}
        return cls(weights.config, processor, options=options, model=weights, source=source, deepest_loaded=deepest)

    @classmethod
    def describe(cls, model: str, options: LoadOptions) -> Self:
        scheme, _, rest = model.partition(":")
        if scheme == TINY:
            return cls(*cls.tiny(), options=options)
        place = model_files.directory(rest if scheme == RANDOM else model, ("config.json",))
        return cls(loading.load_config(cls.model_class, place), None, options=options)

    def identity(self) -> Mapping[str, Any]:
        seed = getattr(self.config, tiny_models.SEED_FIELD, None)
        return {
            "family": self.family,
            **self._source,
            "weights": "pretrained" if seed is None else "random",
            "seed": seed,
            "class": self.model_class,
            "config_digest": records.digest(loading.lasting_config(self.config.to_dict())),
            "dtype": self.options.dtype,
            "attention": self.options.attention,
            "compiled": self.options.compiled,
        }

    @torch.inference_mode()
    def forward(self, inputs: Mapping[str, torch.Tensor], points: Sequence[str]) -> dict[str, list[torch.Tensor]]:
        """Raises `UnknownName` for a tap that the model does not have, `UsageError` for a readout it cannot give."""
        wanted = [Point.parse(text) for text in points]
        taps = self._taps_of_points(wanted)
        found: dict[tuple[str, int], torch.Tensor] = {}
        groups = self.split_by_size(inputs)
        for numbers, group in groups:
            for point, vectors in self._forward_group(group, taps, wanted).items():
                found |= {(point, number): vector for number, vector in zip(numbers, vectors, strict=True)}
        samples = sorted(number for numbers, _ in groups for number in numbers)
        return {str(point): [found[str(point), number] for number in samples] for point in wanted}

    def _forward_group(
        self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap], wanted: Sequence[Point]
    ) -> dict[str, list[torch.Tensor]]:
        """One run of the model; what was captured is let go one by one, so that no tap is held twice."""
        placed = {
            name: tensor if name in self.kept_on_host else tensor.to(self.device, non_blocking=True)
            for name, tensor in inputs.items()
        }
        captured = capture(self.tapped_module(self.model), taps, lambda: self.run_model(placed, taps))
        result: dict[str, list[torch.Tensor]] = {}
        for tap in taps:
            kept = [point.readout for point in wanted if point.tap == tap.name]
            for readout, vectors in self._readouts(tap, captured.pop(tap.name), inputs, kept).items():
                result[str(Point(tap.name, readout))] = vectors
        return result

    def _readouts(
        self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor], kept: Sequence[str]
    ) -> dict[str, list[torch.Tensor]]:
        found: dict[str, list[torch.Tensor]] = {}
        if set(kept) - {"last_query", "cls"}:
            tokens = readouts.concat_images(self.raster_tokens(tap, hidden, inputs), inputs.get("images"))
            found = {"tokens": tokens, "last_vision": readouts.last(tokens)}
        if "mean" in kept:
            found["mean"] = readouts.mean(tokens)
        if "last_query" in kept:
            found["last_query"] = self.last_query(tap, hidden, inputs)
        if "cls" in kept:
            found["cls"] = readouts.mean(torch.split(hidden[:, 0], self.frame_counts(inputs)))
        return {readout: found[readout] for readout in kept}

    def _taps_of_points(self, points: Sequence[Point]) -> list[Tap]:
        """In the order of computation. Raises `UnknownName` and `UsageError`."""
        names = [tap.name for tap in self.taps]
        for point in points:
            if point.tap not in names:
                raise UnknownName("tap", point.tap, names)
        self.check_points(points)
        taps = [tap for tap in self.taps if tap.name in {point.tap for point in points}]
        if self.model is None or (
            self._deepest_loaded and names.index(taps[-1].name) > names.index(self._deepest_loaded)
        ):
            raise ModelError(f"{taps[-1].name} was not loaded; load the model with all taps that are to be read")
        return taps

    @classmethod
    def _deepest_tap(cls, config: Any, names: Sequence[str] | None) -> str | None:
        """The deepest of the named taps; None where all of the model is asked for."""
        if names is None:
            return None
        known = [tap.name for tap in cls.taps_of(config)]
        return known[max((known.index(name) for name in names), default=0)]

    @classmethod
    def _without(cls, config: Any, deepest: str | None) -> loading.Prune:
        def cut(model: nn.Module) -> None:
            if deepest is not None:
                loading.prune(cls.tapped_module(model), cls.taps_of(config), deepest)
                cls.leave_out_untapped(model, deepest)

        return cut

    def _compile(self) -> None:
        """Block by block, so that hooks stay outside of what is compiled and equal blocks are compiled once."""
        root = self.tapped_module(self.model)
        for path in {tap.module for tap in self.taps if tap.name.startswith(("vit.block_", "llm.layer_"))}:
            module = root.get_submodule(path)
            if not isinstance(module, loading.NotLoaded):
                module.forward = torch.compile(module.forward, dynamic=True)
