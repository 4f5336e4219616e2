"""A model of transformers as an `Encoder`: loading as much as is needed, one forward pass, readouts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from foresight_cache import records
from foresight_cache.encoders import RANDOM, TINY, LoadOptions, Tap, TapLevel
from foresight_cache.encoders.bases.pruning import deepest_tap, prune
from foresight_cache.encoders.bases.sized import SizedEncoder
from foresight_cache.encoders.capture import counts, readouts
from foresight_cache.encoders.capture.hooks import capture
from foresight_cache.encoders.weights import hub_snapshots, loading, model_files, placement, quantisation, tiny_models
from foresight_cache.encoders.weights.accounting import COMMON_RULES, Rules
from foresight_cache.errors import ModelError, UnknownName
from foresight_cache.points import OF_TEXT, Point
from foresight_cache.samples import Grid

Hidden = torch.Tensor
"""Tensor that a module takes or returns, in the order and shape in which the module has it."""


class TransformersEncoder(SizedEncoder):
    """Base of all families: everything but the shape of the network.

    Subclasses say how a pass is run, where its tokens are and which sizes are possible.
    """

    kept_on_host: ClassVar[frozenset[str]] = frozenset()
    """Inputs that the model itself does not take; to read them from the device would wait for it."""
    left_out_tensors: ClassVar[Rules] = {}
    """Tensors of published checkpoints that no tap needs, beside those of parts that are left out of the model."""

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
        """Moves the model to its device and freezes it.

        `source` says where the weights are from, in the words of `identity`; `deepest_loaded` is the last tap of
        a part of a model. Without a model, only what follows from the configuration is known, and no processor is
        needed.
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
            is_placed = self._source.get("quantisation") or _is_shared_out(options)
            self.model = (model if is_placed else model.to(self.device)).eval().requires_grad_(False)
            if options.compiled:
                self._compile()

    # What a family says.

    @classmethod
    @abstractmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes configuration and processor of a small model with every kind of block that the real ones have."""

    @classmethod
    @abstractmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        """Returns all taps in the order of computation, with paths inside `tapped_module`."""

    @classmethod
    @abstractmethod
    def load_processor(cls, path: Path) -> Any:
        """Loads the processor of a model's directory. Raises `ModelError`."""

    @classmethod
    @abstractmethod
    def tapped_module(cls, model: nn.Module) -> nn.Module:
        """Returns the module in which taps have their paths."""

    @classmethod
    def leave_out_untapped(cls, model: nn.Module, deepest: str) -> None:
        """Leaves out what comes after the tap `deepest` and is no tap's module itself."""

    def split_by_size(
        self, inputs: Mapping[str, torch.Tensor]
    ) -> list[tuple[Sequence[int], Mapping[str, torch.Tensor]]]:
        """Splits a batch into parts that can be run together: numbers of samples, and their inputs; else one part."""
        samples = len(inputs["images"]) if "images" in inputs else len(self.frame_counts(inputs))
        return [(range(samples), inputs)]

    @abstractmethod
    def frame_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        """Returns the frames, or temporal steps, of each sample."""

    @abstractmethod
    def token_grids(self, level: TapLevel, inputs: Mapping[str, torch.Tensor]) -> list[Grid]:
        """Returns the grid on a level of each image and clip among the inputs, which are on the CPU."""

    @abstractmethod
    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:
        """Runs the part of the model that has these taps; `inputs` are on the model's device but for `kept_on_host`."""

    @abstractmethod
    def raster_tokens(self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """Returns each sample's visual tokens at a tap, [N, D], in raster order; `inputs` are on the CPU.

        Where several images stand in a prompt, each image's tokens; `images` among the inputs says how many.
        """

    def text_readout(
        self, readout: str, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor]
    ) -> list[torch.Tensor]:
        """Returns what a readout of the prompt's own tokens keeps of each sample, [N, D]; a family with one has it."""
        raise NotImplementedError

    # Loading.

    @classmethod
    def load(cls, model: str, options: LoadOptions, taps: Sequence[str] | None = None) -> Self:
        scheme, _, rest = model.partition(":")
        if scheme == TINY:
            config, processor = cls.tiny()
            cls(config, processor, options=options).check_prompt()
            return cls._load_random(config, processor, options, taps, name=model, revision=None)
        is_random = scheme == RANDOM
        name = rest if is_random else model
        files = model_files.TEXT_FILES if is_random else model_files.SAFE_FILES
        path = model_files.directory(name, files)
        with hub_snapshots.told_if_partial(path, files):
            return cls._load_directory(path, model_files.identifier(name), options, taps, is_random=is_random)

    @classmethod
    def _load_directory(
        cls, path: Path, name: str, options: LoadOptions, taps: Sequence[str] | None, *, is_random: bool
    ) -> Self:
        config, processor = loading.load_config(cls.model_class, path), cls.load_processor(path)
        cls(config, processor, options=options).check_prompt()  # before the weights, which take long
        revision = hub_snapshots.commit_of(path)
        if is_random:
            config = quantisation.without(config)
            return cls._load_random(config, processor, options, taps, name=f"{RANDOM}:{name}", revision=revision)
        deepest = deepest_tap(cls.taps_of(config), taps)
        weights = loading.load_pretrained(
            *(cls.model_class, path, options.dtype, options.attention, cls._pruner(config, deepest)),
            rules={**COMMON_RULES, **cls.left_out_tensors},
            device=model_files.pick_device(options.device),
            shared_out=_is_shared_out(options),
        )
        source = {
            **{"name": name, "revision": revision, "weights_digest": model_files.weights_digest(path)},
            "quantisation": quantisation.identity(quantisation.settings_of(path)),
        }
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
        """Makes a model with seeded weights; their digest is that of what they follow from, so that a part has it."""
        seed = tiny_models.SEED
        tiny_models.mark_random(config, seed)
        recipe = [tiny_models.RECIPE, seed, options.dtype, loading.lasting_config(config.to_dict())]
        deepest = deepest_tap(cls.taps_of(config), taps)
        pruner = cls._pruner(config, deepest)
        is_shared_out = _is_shared_out(options)
        weights = loading.make_random(cls.model_class, config, options.dtype, options.attention, pruner, seed)
        weights = placement.share_out(weights) if is_shared_out else weights
        digest = records.digest(recipe)
        source = {"name": name, "revision": revision, "weights_digest": digest, "quantisation": None}
        return cls(weights.config, processor, options=options, model=weights, source=source, deepest_loaded=deepest)

    @classmethod
    def _pruner(cls, config: Any, deepest: str | None) -> loading.Pruner:
        def leave_out_deeper(model: nn.Module) -> None:
            if deepest is not None:
                prune(cls.tapped_module(model), cls.taps_of(config), deepest)
                cls.leave_out_untapped(model, deepest)

        return leave_out_deeper

    @classmethod
    def describe(cls, model: str, options: LoadOptions) -> Self:
        scheme, _, rest = model.partition(":")
        if scheme == TINY:
            return cls(*cls.tiny(), options=options)
        path = model_files.directory(rest if scheme == RANDOM else model, ("config.json",))
        described = cls(loading.load_config(cls.model_class, path), None, options=options)
        settings = quantisation.settings_of(path)
        described.hindrance = quantisation.sentence(settings) if settings and scheme != RANDOM else None
        return described

    @property
    def config_digest(self) -> str:
        """SHA-256 of the configuration, as fingerprints have it."""
        return records.digest(loading.lasting_config(self.config.to_dict()))

    def identity(self) -> Mapping[str, Any]:
        seed = tiny_models.seed_of(self.config)
        return {
            "family": self.family,
            **self._source,
            "weights": "pretrained" if seed is None else "random",
            "seed": seed,
            "class": self.model_class,
            "config_digest": self.config_digest,
            "dtype": self.options.dtype,
            "attention": self.options.attention,
            "compiled": self.options.compiled,
        }

    def _compile(self) -> None:
        """Compiles block by block, so that hooks stay outside and equal blocks are compiled once."""
        root = self.tapped_module(self.model)
        for path in {tap.module for tap in self.taps if tap.name.startswith(("vit.block_", "llm.layer_"))}:
            module = root.get_submodule(path)
            if not isinstance(module, loading.NotLoaded):
                module.forward = torch.compile(module.forward, dynamic=True)

    # One forward pass.

    def on_device(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Returns inputs on the model's device, but for those of `kept_on_host`."""
        return {
            name: tensor if name in self.kept_on_host else tensor.to(self.device, non_blocking=True)
            for name, tensor in inputs.items()
        }

    @torch.inference_mode()
    def forward(self, inputs: Mapping[str, torch.Tensor], points: Sequence[str]) -> dict[str, list[torch.Tensor]]:
        """Runs the model once. Raises `UnknownName` for an unknown tap, `UsageError` for an impossible readout."""
        parsed = [Point.parse(text) for text in points]
        taps = self._taps_of_points(parsed)
        values: dict[tuple[str, int], torch.Tensor] = {}
        groups = self.split_by_size(inputs)
        for numbers, group in groups:
            for point, tensors in self._forward_group(group, taps, parsed).items():
                values |= {(point, number): tensor for number, tensor in zip(numbers, tensors, strict=True)}
        samples = sorted(number for numbers, _ in groups for number in numbers)
        return {str(point): [values[str(point), number] for number in samples] for point in parsed}

    def _forward_group(
        self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap], points: Sequence[Point]
    ) -> dict[str, list[torch.Tensor]]:
        """Runs the model; what was captured is let go one by one, so that no tap is held twice."""
        there = self.on_device(inputs)
        captured = capture(self.tapped_module(self.model), taps, lambda: self.run_model(there, taps))
        values: dict[str, list[torch.Tensor]] = {}
        for tap in taps:
            kept = [point.readout for point in points if point.tap == tap.name]
            hidden = captured.pop(tap.name).to(self.device, non_blocking=True)  # of a model on several devices
            for readout, tensors in self._readouts(tap, hidden, inputs, kept).items():
                values[str(Point(tap.name, readout))] = tensors
        return values

    def _readouts(
        self, tap: Tap, hidden: Hidden, inputs: Mapping[str, torch.Tensor], kept: Sequence[str]
    ) -> dict[str, list[torch.Tensor]]:
        values: dict[str, list[torch.Tensor]] = {}
        if set(kept) - {*OF_TEXT, "cls"}:
            images = self.raster_tokens(tap, hidden, inputs)
            counts.check_samples([len(image) for image in images], self.token_grids(tap.level, inputs), tap.name)
            tokens = readouts.concat_images(images, inputs.get("images"))
            values = {"tokens": tokens, "last_vision": readouts.last(tokens)}
        if "mean" in kept:
            values["mean"] = readouts.mean(tokens)
        for readout in set(kept) & set(OF_TEXT):
            values[readout] = self.text_readout(readout, tap, hidden, inputs)
        if "cls" in kept:
            values["cls"] = readouts.mean(torch.split(hidden[:, 0], self.frame_counts(inputs)))
        return {readout: values[readout] for readout in kept}

    def _taps_of_points(self, points: Sequence[Point]) -> list[Tap]:
        """Returns taps in the order of computation. Raises `UnknownName`, `UsageError` and `ModelError`."""
        names = [tap.name for tap in self.taps]
        for point in points:
            if point.tap not in names:
                raise UnknownName("tap", point.tap, names)
        self.check_points(points)
        taps = [tap for tap in self.taps if tap.name in {point.tap for point in points}]
        loaded = len(names) if self._deepest_loaded is None else names.index(self._deepest_loaded) + 1
        if self.model is None or not {tap.name for tap in taps} <= set(names[:loaded]):
            raise ModelError(f"{taps[-1].name} was not loaded; load the model with all taps that are to be read")
        return taps


def _is_shared_out(options: LoadOptions) -> bool:
    return placement.is_shared_out(options.device_map, options.device, compiled=options.compiled)
