"""The nearest words of the tokens of a cache, sample by sample."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from foresight_cache.errors import TextIndexError, UsageError
from foresight_cache.points import Point, computation_order
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.samples import Grid
from foresight_cache.text_index_files import NUMBERING, TextIndex
from foresight_probes.lens import nearest
from foresight_probes.lens.nearest import Nearest

LENSES = ("contextual", "embedding", "logit")
"""Lenses: words in contexts (LatentLens), input embeddings (EmbeddingLens), logits (LogitLens)."""
_QUERIES, _QUERY_BYTES = 32768, 1 << 28
"""Tokens, and bytes of these, from which on what was read is looked up: each time the whole index is read."""
_SAME = {"weights_digest": "another model", "tokenizer_digest": "another tokenizer"}
"""Fields of a model that a cache and an index must share, and what they are of where they do not."""


@dataclass(frozen=True, slots=True)
class SampleWords:
    """The words of one sample's tokens."""

    number: int
    """Its number in the cache."""
    id: str
    grids: Mapping[str, Grid]
    """Grid of its tokens at each point."""
    words: Mapping[tuple[str, str], Nearest]
    """By point and lens, in raster order."""


@dataclass(frozen=True)
class LensRun:
    """All that looking up words needs to know.

    Raises `UsageError` for points that are not of the language model's space and for samples that are not there, and
    `TextIndexError` for an index of another model, tokenizer or numbering, or without what a lens needs.
    """

    cache: Cache
    index: TextIndex
    points: tuple[str, ...]
    lenses: tuple[str, ...] = ("contextual",)
    top: int = 5
    samples: int | None = None
    """Number of good samples, from the first one on; None for all."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_same_model(self.cache, self.index)
        for point in self.points:
            _check_space(self.cache, point, self.index.width)
        if set(self.lenses) & {"embedding", "logit"} and not self.index.has_vocabulary:
            raise TextIndexError(
                f"{self.index.path} has no input embeddings and no head, which --embedding and --logit need; run the "
                "'foresight lens index' that made it again with --vocabulary keep"
            )

    @cached_property
    def numbers(self) -> list[int]:
        """Numbers of the samples that are looked at. Raises `UsageError` where there are none."""
        good = [number for number, row in enumerate(self.cache.rows) if row["status"] == "ok"][: self.samples]
        if not good:
            raise UsageError(f"{self.cache.path} has no sample whose status is 'ok'")
        return good

    def each(self, advance: Advance = silent) -> Iterator[SampleWords]:
        """Yields each sample's words, in order. Raises `CorruptCache` and `TextIndexError`."""
        block: list[int] = []
        tokens, most = 0, min(_QUERIES, _QUERY_BYTES // (4 * self.index.width))
        for number in self.numbers:
            block.append(number)
            tokens += sum(self.cache[point].grid_of(number).tokens for point in self.points)
            if tokens >= most:
                yield from self._of_block(block, advance)
                block, tokens = [], 0
        if block:
            yield from self._of_block(block, advance)

    def _of_block(self, numbers: Sequence[int], advance: Advance) -> Iterator[SampleWords]:
        parts: list[torch.Tensor] = []
        places: dict[tuple[int, str], slice] = {}
        start = 0
        for number in numbers:
            for point in self.points:
                parts.append(self.cache[point].torch(number).to(self.device).float())
                places[number, point] = slice(start, start := start + len(parts[-1]))
        queries_QD = torch.cat(parts)
        found = {lens: self._nearest(lens, queries_QD, places) for lens in self.lenses}
        for number in numbers:
            yield SampleWords(
                number,
                self.cache.rows[number]["id"],
                {point: self.cache[point].grid_of(number) for point in self.points},
                {(point, lens): found[lens].of(places[number, point]) for point in self.points for lens in self.lenses},
            )
            advance(1, 0)

    def _nearest(self, lens: str, queries_QD: torch.Tensor, places: Mapping[tuple[int, str], slice]) -> Nearest:
        if lens == "contextual":
            return nearest.contextual(queries_QD, self.index, self.top)
        if lens == "embedding":
            return nearest.embedding(queries_QD, self.index, self.top)
        normed_QD = nearest.final_normed(queries_QD, self.index)
        for (_, point), place in places.items():
            if Point.parse(point).tap == "llm.final_norm":  # which has gone through it
                normed_QD[place] = queries_QD[place]
        return nearest.logits(normed_QD, self.index, self.top)


def usable_points(cache: Cache, index: TextIndex, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the points of a cache that names mean, or all in the language model's space where none are given.

    Raises `UnknownName` for points that the cache has not, and `UsageError` where none can be used.
    """
    if asked is not None:
        return cache.select(asked)
    found = [name for name in cache.points if _is_language(name) and cache[name].shape[2] == index.width]
    if not found:
        raise UsageError(
            f"{cache.path} has no point in the language model's space ({', '.join(cache.points)}); extract some, as "
            "with --points vit.post_merge,llm.layer_08"
        )
    return tuple(sorted(found, key=computation_order))


def device_of(name: str) -> str:
    """Returns where words are looked up, for `auto`, `cpu` or `cuda`; others compute it on the CPU.

    Raises `UsageError` for a GPU that is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device is cuda, but torch finds none here; use auto or cpu")
    return "cuda" if name in ("auto", "cuda") and torch.cuda.is_available() else "cpu"


def check_same_model(cache: Cache, index: TextIndex) -> None:
    """Raises `TextIndexError` for an index of another model than a cache's, another tokenizer or numbering."""
    model, own = cache.fingerprint["model"], index.fingerprint.get("model", {})
    layers = index.fingerprint.get("layers", {})
    if layers.get("numbering") != NUMBERING:
        raise TextIndexError(
            f"{index.path} numbers its layers by {layers.get('numbering')!r}, expected {NUMBERING!r} (0 embeddings, K "
            "the output of block K); make or import it anew"
        )
    if own.get("weights_digest") is None and own.get("name") != model.get("name"):
        raise TextIndexError(
            f"{index.path} is of another model: {own.get('name')!r}, and {cache.path} is of {model.get('name')!r}; use "
            "an index of the same model"
        )
    for field, what in _SAME.items():
        there, here = own.get(field), model.get(field)
        if there is not None and here is not None and there != here:
            raise TextIndexError(
                f"{index.path} is of {what}: model.{field} is {there[:12]}… there ({own.get('name')}) and {here[:12]}… "
                f"in {cache.path} ({model.get('name')}); use an index of the same model"
            )
    count = sum(tap.startswith("llm.layer_") for tap in model.get("taps", ()))
    if layers.get("of") is not None and count and layers["of"] != count:
        raise TextIndexError(
            f"{index.path} is of a model of {layers['of']} layers, and {cache.path} of {count}; use an index of the "
            "same model"
        )


def _is_language(point: str) -> bool:
    tap = Point.parse(point).tap
    return tap.startswith("llm.") or tap == "vit.post_merge"


def _check_space(cache: Cache, point: str, width: int) -> None:
    own = cache[point].shape[2]
    if own != width:
        raise UsageError(
            f"{point} of {cache.path} has {own} channels, and the language model of the index {width}; name points "
            "such as vit.post_merge or llm.layer_08"
        )
    if not _is_language(point):
        raise UsageError(
            f"{point} has as many channels as the language model and is not in its space; name points such as "
            "vit.post_merge or llm.layer_08"
        )
