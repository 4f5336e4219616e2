"""An index of a corpus by a frozen model, shard by shard."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from foresight_cache.encoders import Encoder
from foresight_cache.encoders.bases.language import LanguageEncoder
from foresight_cache.encoders.weights import attention
from foresight_cache.errors import ModelError, UsageError
from foresight_cache.extraction.batching import batches
from foresight_cache.runtime.claims import Claim
from foresight_cache.runtime.progress import Advance, StageTimes, silent
from foresight_cache.runtime.shared_pieces import make_pieces
from foresight_cache.runtime.work_share import WHOLE, WorkShare
from foresight_cache.text_index.corpus import Corpus
from foresight_cache.text_index.index_folder import IndexFolder
from foresight_cache.text_index.language_states import Vocabulary, hidden_states, layers_of, tap_of, width_of
from foresight_cache.text_index.occurrences import Occurrences, Tokens, chosen_occurrences, shards_of
from foresight_cache.text_index.options import IndexOptions, chosen_layers
from foresight_cache.text_index_files import COLUMNS, EPSILON, FINAL_NORM, NUMBERING, layer_name

_VOCABULARY_ROWS = 16384
"""Tokens of a shard of the vocabulary."""
_MODEL_FIELDS = (
    *("family", "name", "revision", "weights_digest", "quantisation", "weights", "seed", "class", "config_digest"),
    *("dtype", "attention", "compiled", "tokenizer_digest"),
)
"""Fields of a model's identity that have to do with text alone."""


def check_model(encoder: Encoder, options: IndexOptions) -> tuple[int, ...]:
    """Returns the layers that will be kept. Raises `UsageError` for a model without a language model."""
    if not isinstance(encoder, LanguageEncoder):
        raise UsageError(f"{encoder.family} has no language model; name a vision-language model")
    return chosen_layers(options.layers, layers_of(encoder))


def needed_taps(encoder: Encoder, options: IndexOptions) -> list[str] | None:
    """Returns the taps as far as which a model has to be loaded; None for all of it, as for its head."""
    layers = check_model(encoder, options)
    assert isinstance(encoder, LanguageEncoder)  # noqa: S101 - it was looked at
    return None if options.vocabulary == "keep" else [tap_of(encoder, layers[-1]).name]


@dataclass(frozen=True)
class Indexing:
    """All that making an index needs to know. Raises `UsageError` for a model without a language model."""

    corpus: Corpus
    encoder: Encoder
    options: IndexOptions
    out: Path

    def __post_init__(self) -> None:
        check_model(self.encoder, self.options)

    @property
    def language(self) -> LanguageEncoder:
        assert isinstance(self.encoder, LanguageEncoder)  # noqa: S101 - it was looked at
        return self.encoder

    @cached_property
    def layers(self) -> tuple[int, ...]:
        return check_model(self.encoder, self.options)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.language)

    @cached_property
    def occurrences(self) -> Occurrences:
        """Tokens that are kept. Raises `DatasetError`, and `UsageError` where there are none."""
        own = self.options
        found = chosen_occurrences(
            self.corpus,
            self.tokens,
            contexts=own.contexts,
            skip=own.skip,
            max_tokens=own.max_tokens,
            seed=own.seed,
            max_rows=own.max_rows,
        )
        if not len(found):
            raise UsageError(f"--skip {own.skip} leaves no token of {self.corpus.place}; use a smaller one")
        return found

    @cached_property
    def shards(self) -> list[slice]:
        return shards_of(self.occurrences, self.options.rows_per_shard)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.language)

    @cached_property
    def folder(self) -> IndexFolder:
        keeps = self.options.vocabulary == "keep"
        return IndexFolder(
            path=self.out,
            fingerprint=self.fingerprint,
            layers=self.layers,
            width=width_of(self.language),
            rows=len(self.occurrences),
            shards=len(self.shards),
            vocabulary=-(-self.vocabulary.size // _VOCABULARY_ROWS) if keeps else 0,
        )

    @property
    def fingerprint(self) -> dict[str, Any]:
        """All that decides the numbers of an index."""
        identity, own = self.language.identity(), self.options
        return {
            "model": {name: identity[name] for name in _MODEL_FIELDS if name in identity},
            "layers": {"numbering": NUMBERING, "kept": list(self.layers), "of": layers_of(self.language)},
            "corpus": {"sha256": self.corpus.digest, "phrases": len(self.corpus.phrases)},
            "selection": {
                **{"contexts": own.contexts, "max_rows": own.max_rows, "skip": own.skip, "seed": own.seed},
                **{"max_tokens": own.max_tokens, "begin": self.tokens.begin, "rule": "smallest of prefix, 1"},
            },
            "execution": {
                **{"batch_tokens": own.batch_tokens, "rows_per_shard": own.rows_per_shard},
                **{"device": self.encoder.device.type, "device_map": self.encoder.options.device_map},
                "float32_matmul": torch.get_float32_matmul_precision(),
            },
            "libraries": {name: version(name) for name in ("torch", "transformers")}
            | attention.packages(self.encoder.options.attention),
        }

    def rows_left(self) -> int:
        """Returns the number of rows, of phrases and vocabulary, that are not there yet."""
        return sum(self.rows_of(name) for name in self.folder.missing(self.folder.names))

    def rows_of(self, name: str) -> int:
        """Returns the rows of a shard."""
        kind, number = _parsed(name)
        if kind == "shard":
            rows = self.shards[number]
            return int(rows.stop) - int(rows.start)
        return min(_VOCABULARY_ROWS, self.vocabulary.size - number * _VOCABULARY_ROWS)


def make_index(
    plan: Indexing, advance: Advance = silent, times: StageTimes | None = None, share: WorkShare = WHOLE
) -> None:
    """Writes the shards that are missing; a second run goes on where the first one stopped.

    Any number of processes may do so at once, as with `extract`. Raises what `IndexFolder.create` raises,
    `DatasetError`, and `ModelError` where states are no numbers or the memory does not hold a batch. SIGINT and
    `STOP_SIGNALS` end it with `KeyboardInterrupt` after the current batch.
    """
    plan.folder.create()
    measured = times or StageTimes()

    def make(_: str, held: Claim, check: Callable[[], None]) -> None:
        _make_shard(plan, held, advance, measured, check)

    names = [plan.folder.names[number] for number in share.order(range(len(plan.folder.names)))]
    make_pieces(plan.folder, names, make, waits=share.waits, place=str(plan.out))


def _make_shard(plan: Indexing, held: Claim, advance: Advance, times: StageTimes, check: Callable[[], None]) -> None:
    kind, number = _parsed(held.name)
    with times.measured("model"):
        if kind == "shard":
            tensors, columns = _contexts(plan, plan.shards[number], check)
        else:
            tensors, columns = _vocabulary(plan, number)
    with times.measured("writing"):
        size = plan.folder.commit(held, tensors, columns)
    advance(plan.rows_of(held.name), size)


def _contexts(
    plan: Indexing, rows: slice, check: Callable[[], None]
) -> tuple[dict[str, torch.Tensor], dict[str, list[Any]]]:
    """Returns the tensors [R, D] of a shard, bfloat16, and its table."""
    chosen = plan.occurrences
    owners, positions = chosen.phrases_R[rows].tolist(), chosen.positions_R[rows].tolist()
    own_tokens = chosen.tokens_R[rows].tolist()
    rows_of: dict[int, list[int]] = {}
    for row, owner in enumerate(owners):
        rows_of.setdefault(owner, []).append(row)
    numbers, begin = list(rows_of), plan.tokens.begin
    ids = [[*begin, *own] for own in plan.tokens.of([plan.corpus.phrases[number] for number in numbers])]
    lengths = [len(each) for each in ids]
    shape = (len(owners), plan.folder.width)
    tensors = {layer: torch.empty(shape, dtype=torch.bfloat16) for layer in plan.layers}
    for batch in batches(lengths, lengths, plan.options.batch_tokens):
        states = _states(plan, [ids[each] for each in batch])
        here = [(line, row) for line, each in enumerate(batch) for row in rows_of[numbers[each]]]
        lines = torch.tensor([line for line, _ in here])
        places = torch.tensor([row for _, row in here])
        columns = torch.tensor([len(begin) + positions[row] for _, row in here])
        for layer, state in states.items():
            kept = state.cpu()[lines, columns]
            if not bool(torch.isfinite(kept).all()):
                raise ModelError(
                    f"hidden states of layer {layer} are not finite numbers; use --dtype bfloat16 or float32"
                )
            tensors[layer][places] = kept.to(torch.bfloat16)
        check()
    strings = [plan.tokens.string(token) for token in own_tokens]
    table = (strings, own_tokens, [plan.corpus.phrases[owner] for owner in owners], positions)
    return {layer_name(layer): own for layer, own in tensors.items()}, dict(zip(COLUMNS, table, strict=True))


def _states(plan: Indexing, ids: list[list[int]]) -> Mapping[int, torch.Tensor]:
    try:
        return hidden_states(plan.language, ids, plan.layers)
    except torch.OutOfMemoryError:
        raise ModelError(
            f"the memory of the device does not hold {len(ids)} phrases of {len(ids[0])} tokens; use a smaller "
            "--batch-tokens"
        ) from None


def _vocabulary(plan: Indexing, number: int) -> tuple[dict[str, torch.Tensor], dict[str, list[Any]]]:
    start = number * _VOCABULARY_ROWS
    embedding, head = plan.vocabulary.rows(start, start + _VOCABULARY_ROWS)
    tensors = {"embedding": embedding, "head": head}
    if number == 0:
        tensors[FINAL_NORM] = plan.vocabulary.final_norm()
        tensors[EPSILON] = torch.tensor([plan.vocabulary.epsilon], dtype=torch.float64)
    ids = list(range(start, start + len(embedding)))
    return tensors, {"token": [plan.tokens.string(token) for token in ids], "token_id": ids}


def _parsed(name: str) -> tuple[str, int]:
    kind, _, number = name.partition("-")
    return kind, int(number)
