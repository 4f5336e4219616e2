"""Classes of tokens by the votes of the nearest tokens of other pictures, whose classes are known.

This is retrieval from a memory of annotated tokens, as of Balažević et al., "Towards In-context Scene Understanding"
(NeurIPS 2023), with the weighted votes of nearest neighbours as DINOv2 is evaluated (Oquab et al. 2023).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 30
TEMPERATURE = 0.02
"""A neighbour's vote weighs exp(cosine / temperature)."""
_PIECE = 1024
"""Tokens whose neighbours are looked for at once."""


@dataclass(frozen=True, slots=True)
class TokenMemory:
    """Tokens whose classes are known."""

    units_MD: Tensor
    """float32, each of length 1."""
    classes_M: Tensor
    """int64."""

    @classmethod
    def of(cls, tokens_MD: np.ndarray, classes_M: np.ndarray) -> "TokenMemory":
        """Keeps tokens whose class is not below 0."""
        known = classes_M >= 0
        return cls(_units(tokens_MD[known]), torch.from_numpy(classes_M[known].astype(np.int64)))

    def votes(
        self,
        tokens_ND: np.ndarray,
        classes: int,
        *,
        neighbours: int = NEIGHBOURS,
        temperature: float = TEMPERATURE,
    ) -> np.ndarray:
        """Returns the share of the votes that each class has for each token, float32 [N, classes].

        Fewer tokens than `neighbours` all vote.
        """
        parts = [
            self._votes(own_BD, classes, min(neighbours, len(self.classes_M)), temperature)
            for own_BD in torch.split(_units(tokens_ND), _PIECE)
        ]
        shares: np.ndarray = torch.cat(parts).numpy()
        return shares

    def _votes(self, own_BD: Tensor, classes: int, neighbours: int, temperature: float) -> Tensor:
        nearest_BJ, numbers_BJ = (own_BD @ self.units_MD.T).topk(neighbours, dim=1)
        weights_BJ = (nearest_BJ / temperature).softmax(1)
        return torch.zeros(len(own_BD), classes).scatter_add_(1, self.classes_M[numbers_BJ], weights_BJ)


def _units(tokens_ND: np.ndarray) -> Tensor:
    return functional.normalize(torch.from_numpy(tokens_ND.astype(np.float32)), dim=1)
