"""Similarity of a bounded number of samples against that of the same samples exchanged at random."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foresight_cache.runtime.progress import Advance
from foresight_cache.samples import Grid
from foresight_probes.features.batch_sampler import ahead
from foresight_probes.features.sources import Source
from foresight_probes.heads.layers.alignment import nearest
from foresight_probes.similarity.reading import read_tokens
from foresight_probes.similarity.result import Of, Tested, tested
from foresight_probes.statistics.alignment import AlignmentTest, compare_with_chance, debiased_gram, gram, neighbours

PERMUTATIONS = 199
MOST_SAMPLES = 1024
"""Samples whose means are exchanged at most, and rows of tokens; as many as Huh et al. compare."""
MOST_WITH_TOKENS = 256
"""Samples whose tokens are exchanged at most, each with a few of its tokens."""
NEIGHBOURS = 10
"""Nearest neighbours of a sample, as of Huh et al., "The Platonic Representation Hypothesis" (ICML 2024)."""

LEAST_ROWS = 4
"""Rows that debiased CKA needs."""


def choose(samples: Sequence[Mapping[str, Any]], most: int = MOST_SAMPLES) -> list[int]:
    """Returns positions of one sample of each group, of so many groups at most: those whose hashes are the smallest.

    Samples of a group are not independent of each other, and groups of other sizes could not change places.

    >>> choose([{"group": name, "id": str(number)} for number, name in enumerate("aabbbc")]).__len__()
    3
    """
    keys = [tuple(_hash(str(sample[part])) for part in ("group", "id")) for sample in samples]
    one_of: dict[str, int] = {}
    for position in sorted(range(len(samples)), key=lambda position: keys[position]):
        one_of.setdefault(str(samples[position]["group"]), position)
    return sorted(list(one_of.values())[:most])


def _hash(text: str) -> bytes:
    return hashlib.sha256(f"similarity {text}".encode()).digest()


class Chance:
    """Features of the chosen samples of all sources: means over tokens, and tokens of the same places."""

    def __init__(self, sources: Sequence[Source], samples: Sequence[Sequence[int]], of: Of) -> None:
        """Takes for each chosen sample its row in the cache of each source."""
        self._sources, self.samples = sources, samples
        self._step = -(-len(samples) // MOST_WITH_TOKENS)
        self._places = _places(sources, samples[:: self._step]) if of == "tokens" else None
        self._means: list[Tensor] = []
        self._tokens: list[Tensor] = []

    def read(self, device: torch.device, advance: Advance) -> None:
        """Reads every chosen sample once."""
        means: list[list[Tensor]] = [[] for _ in self._sources]
        tokens: list[list[Tensor]] = [[] for _ in self._sources]
        for of_sample in ahead(enumerate(self.samples), lambda item, _: self._read(*item)):
            advance(1, 0)
            for index, (mean_1D, chosen_ND) in enumerate(of_sample):
                means[index].append(mean_1D)
                tokens[index].append(chosen_ND)
        self._means = [torch.cat(parts).to(device) for parts in means]
        self._tokens = [torch.cat(parts).to(device) for parts in tokens]

    def _read(self, position: int, rows: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Mean over tokens and chosen tokens of each source, float32; of most samples no tokens."""
        parts = []
        for source, row in zip(self._sources, rows, strict=True):
            tokens_ND = read_tokens(source, row)
            chosen_ND = tokens_ND[:0]
            if self._places and position % self._step == 0:
                chosen_ND = tokens_ND[nearest(self._places, source.grid(row))]
            parts.append((tokens_ND.double().mean(0, keepdim=True).float(), chosen_ND.float()))
        return parts

    def cka(self, firsts: Sequence[int], seconds: Sequence[int]) -> Tested | None:
        """Linear CKA of means, or of tokens where those are compared; None for a single sample."""
        return self._of_rows(gram, firsts, seconds)

    def debiased_cka(self, firsts: Sequence[int], seconds: Sequence[int]) -> Tested | None:
        """Debiased linear CKA of the same rows; None for fewer than four."""
        return self._of_rows(debiased_gram, firsts, seconds) if len(self._rows()[0][0]) >= LEAST_ROWS else None

    def _of_rows(
        self, measure: Callable[[Tensor], Tensor], firsts: Sequence[int], seconds: Sequence[int]
    ) -> Tested | None:
        features, places = self._rows()
        return self._tested([measure(rows) for rows in features], firsts, seconds, places)

    def _rows(self) -> tuple[list[Tensor], int]:
        """Features of the rows that are compared, and how many of a sample there are."""
        return (self._tokens, self._places.tokens) if self._places else (self._means, 1)

    def mutual_knn(self, firsts: Sequence[int], seconds: Sequence[int]) -> Tested | None:
        """Mean share of the nearest neighbours of a sample that two points have in common, of means over tokens."""
        if not self.neighbours:
            return None
        return self._tested([neighbours(rows, self.neighbours) for rows in self._means], firsts, seconds, 1)

    @property
    def neighbours(self) -> int:
        """Neighbours of each sample: `NEIGHBOURS`, and fewer than half of the others where there are few."""
        return min(NEIGHBOURS, (len(self.samples) - 1) // 2)

    def _tested(
        self, matrices: Sequence[Tensor], firsts: Sequence[int], seconds: Sequence[int], rows: int
    ) -> Tested | None:
        samples = len(matrices[0]) // rows
        if samples < 2:
            return None
        test = compare_with_chance(
            [matrices[index] for index in firsts],
            [matrices[index] for index in seconds],
            permutations=PERMUTATIONS,
            rows=rows,
            counted_PQ=np.triu(np.ones((len(firsts), len(seconds)), bool), 1) if firsts == seconds else None,
        )
        if firsts == seconds:
            test = _symmetric(test)
        return tested(test, samples=samples, rows=rows, permutations=PERMUTATIONS)


def _symmetric(test: AlignmentTest) -> AlignmentTest:
    """Returns the same with what is above the diagonal below it as well: there the other point was exchanged."""
    parts = (test.values_PQ, test.chance_PQ, test.p_values_PQ, test.threshold_PQ, test.corrected_PQ)
    return AlignmentTest(*(np.triu(part) + np.triu(part, 1).T for part in parts))


def _places(sources: Sequence[Source], samples: Sequence[Sequence[int]]) -> Grid:
    """Returns the grid of the places whose tokens are taken, no finer than the finest grid of any sample."""
    finest = [
        max((source.grid(row) for source, row in zip(sources, rows, strict=True)), key=lambda grid: grid.tokens)
        for rows in samples
    ]
    smallest = [min(grid[axis] for grid in finest) for axis in range(3)]
    axes = max(1, sum(size > 1 for size in smallest))
    side = max(1, int((MOST_SAMPLES / len(samples)) ** (1 / axes) + 1e-9))
    return Grid(*(min(side, size) for size in smallest))
