"""The nearest rows of an index, read shard by shard, so that its size does not matter to memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from foresight_cache.text_index_files import Shard, TextIndex, layer_name

_ROWS = 4096
"""Rows that are compared with queries at once."""
_QUERIES = 4096
"""Queries that are compared with rows at once."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest of each query, best first."""

    values_QK: np.ndarray
    """Cosines or logits, float32."""
    columns: dict[str, np.ndarray]
    """Of each neighbour, objects [Q, K]: `token` and `token_id`; of one in a context `phrase`, `position` and
    `contextual_layer` too."""

    def of(self, queries: slice) -> "Nearest":
        """Returns those of some queries."""
        return Nearest(self.values_QK[queries], {name: column[queries] for name, column in self.columns.items()})


class _Best:
    """The highest values [Q, K] so far, and where they stand: shard, row and column of tensors."""

    def __init__(self, queries: int, most: int, device: torch.device) -> None:
        self.values_QK = torch.empty(queries, 0, device=device)
        self.places_QK3 = torch.empty(queries, 0, 3, dtype=torch.int64, device=device)
        self._most = most

    def add(self, values_QR: torch.Tensor, shard: int, first: int, tensor: int) -> None:
        """Adds rows from number `first` of a shard on, of one of its tensors."""
        values_QK, rows_QK = values_QR.topk(min(self._most, values_QR.shape[1]))
        fixed = torch.tensor([shard, tensor], device=rows_QK.device).expand(*rows_QK.shape, 2)
        places_QK3 = torch.cat([fixed, rows_QK[..., None] + first], -1)
        values_QK = torch.cat([self.values_QK, values_QK], 1)
        places_QK3 = torch.cat([self.places_QK3, places_QK3], 1)
        self.values_QK, order_QK = values_QK.topk(min(self._most, values_QK.shape[1]))
        self.places_QK3 = places_QK3.gather(1, order_QK[..., None].expand(-1, -1, 3))


def contextual(queries_QD: torch.Tensor, index: TextIndex, most: int) -> Nearest:
    """Returns the nearest tokens in contexts by cosine, over all layers of the index together.

    Queries are float32, of any length; neither they nor the rows are centred.
    """
    names = [layer_name(layer) for layer in index.layers]
    found = _search(normalised(queries_QD), index.shards, names, most, cosine=True)
    return _named(found, index.shards, index.layers)


def embedding(queries_QD: torch.Tensor, index: TextIndex, most: int) -> Nearest:
    """Returns the nearest input embeddings by cosine (EmbeddingLens)."""
    found = _search(normalised(queries_QD), index.vocabulary, ["embedding"], most, cosine=True)
    return _named(found, index.vocabulary, None)


def logits(normed_QD: torch.Tensor, index: TextIndex, most: int) -> Nearest:
    """Returns the tokens with the highest logits, of what has gone through the final norm (LogitLens)."""
    return _named(_search(normed_QD, index.vocabulary, ["head"], most, cosine=False), index.vocabulary, None)


def final_normed(queries_QD: torch.Tensor, index: TextIndex) -> torch.Tensor:
    """Returns what the model's final norm makes of hidden states, float32."""
    factors_D, epsilon = index.final_norm
    scale_Q1 = (queries_QD.square().mean(-1, keepdim=True) + epsilon).rsqrt()
    return queries_QD * scale_Q1 * factors_D.to(queries_QD.device)


def normalised(vectors_QD: torch.Tensor) -> torch.Tensor:
    """Returns vectors of length 1; a vector of zeros stays one, so that its cosine is 0."""
    return torch.nn.functional.normalize(vectors_QD, dim=-1)


def _search(
    queries_QD: torch.Tensor, shards: Iterable[Shard], names: Sequence[str], most: int, *, cosine: bool
) -> tuple[np.ndarray, np.ndarray]:
    parts = [(part_QD, _Best(len(part_QD), most, part_QD.device)) for part_QD in torch.split(queries_QD, _QUERIES)]
    for number, shard in enumerate(shards):
        for place, name in enumerate(names):
            for first, rows_RD in _blocks(shard.tensor(name)):
                rows_RD = rows_RD.to(queries_QD.device).float()
                rows_DR = (normalised(rows_RD) if cosine else rows_RD).T
                for part_QD, best in parts:
                    best.add(part_QD @ rows_DR, number, first, place)
    values_QK = torch.cat([best.values_QK for _, best in parts])
    return values_QK.cpu().numpy(), torch.cat([best.places_QK3 for _, best in parts]).cpu().numpy()


def _blocks(rows_RD: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    for first in range(0, len(rows_RD), _ROWS):
        yield first, rows_RD[first : first + _ROWS]


def _named(found: tuple[np.ndarray, np.ndarray], shards: Sequence[Shard], layers: Sequence[int] | None) -> Nearest:
    """Looks up the words of the best rows, in the tables of the shards that have them."""
    values_QK, places_QK3 = found
    shards_QK, tensors_QK, rows_QK = np.moveaxis(places_QK3, -1, 0)
    columns: dict[str, np.ndarray] = {}
    for number in np.unique(shards_QK).tolist():
        here_QK = shards_QK == number
        rows, inverse = np.unique(rows_QK[here_QK], return_inverse=True)
        for name, values in shards[number].table(rows.tolist()).items():
            column_QK = columns.setdefault(name, np.empty(shards_QK.shape, object))
            column_QK[here_QK] = np.array(values, object)[inverse]
    if layers:
        columns["contextual_layer"] = np.array(layers, object)[tensors_QK]
    return Nearest(values_QK, columns)
