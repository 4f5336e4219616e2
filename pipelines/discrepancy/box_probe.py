"""The box probes of the studies Q2 and C1 as they were written, and what may be changed about them, as data.

Both read the mean over tokens. Q2's has one linear map to ten boxes and is trained for 50 epochs of Adam by the L1
distance to the boxes in the order of annotation, with boxes of zeros in the slots that are left. C1's has a hidden
layer and one box.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from foresight_probes.tasks.kinds.matching import hungarian

BATCH, STEP_SIZE = 32, 1e-3
"""Scenes of a step, and Adam's step size: C1's and Q2's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxProbe:
    """A probe from the mean over tokens to boxes (x0, y0, x1, y1); the defaults are Q2's."""

    slots: int = 10
    """Boxes that it predicts, P."""
    hidden: int = 0
    """Units of its hidden layer; 0 for a linear map."""
    match: Literal["listed", "sorted", "hungarian"] = "listed"
    """How slots are matched to objects in the loss: in the order of annotation, from left to right, or by Hungarian."""
    zeros: bool = True
    """True where slots that are left are trained towards a box of zeros."""
    epochs: int = 50
    sees: bool = True
    """False for the same probe without features, whose reading is chance: each scene has the mean of all scenes."""

    def fit(self, means_BD: Tensor, truth: Sequence[Tensor], *, seed: int) -> nn.Module:
        """Returns the trained map from means over tokens to logits of corners [B, 4 P].

        The seed decides the first weights and the order of scenes; the state of torch's generator stays as it is.
        """
        features_BD = self._seen(means_BD)
        targets = [boxes[boxes[:, 0].argsort()] if self.match == "sorted" else boxes for boxes in truth]
        padded_BP4 = torch.stack([_padded(boxes, self.slots) for boxes in targets])
        counts_B = torch.tensor([min(len(boxes), self.slots) for boxes in targets])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self._network(means_BD.shape[1])
            optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE)
            for _ in range(self.epochs):
                for rows in torch.randperm(len(features_BD)).split(BATCH):  # type: ignore[no-untyped-call]
                    boxes_BP4 = _corners(network(features_BD[rows]))
                    loss = self._loss(boxes_BP4, padded_BP4[rows], counts_B[rows])
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
        return network

    @torch.no_grad()
    def answer(self, network: nn.Module, means_BD: Tensor) -> Tensor:
        """Returns the boxes that a trained probe predicts, [B, P, 4]."""
        return _corners(network(self._seen(means_BD)))

    def _seen(self, means_BD: Tensor) -> Tensor:
        return means_BD if self.sees else means_BD.mean(0).expand_as(means_BD)

    def _network(self, width: int) -> nn.Module:
        if not self.hidden:
            return nn.Linear(width, 4 * self.slots)
        return nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 4 * self.slots))

    def _loss(self, boxes_BP4: Tensor, truth_BP4: Tensor, counts_B: Tensor) -> Tensor:
        """Returns the mean L1 distance of corners, over all slots or over those that have an object."""
        if self.match == "hungarian":
            truth_BP4 = _matched(boxes_BP4, truth_BP4, counts_B)
        if self.zeros:
            return functional.l1_loss(boxes_BP4, truth_BP4)
        present_BP = truth_BP4.any(-1)
        return functional.l1_loss(boxes_BP4[present_BP], truth_BP4[present_BP])


def _corners(logits_BC: Tensor) -> Tensor:
    return logits_BC.sigmoid().view(len(logits_BC), -1, 4)


def _padded(boxes_K4: Tensor, slots: int) -> Tensor:
    kept = boxes_K4[:slots]
    return functional.pad(kept, (0, 0, 0, slots - len(kept)))


def _matched(boxes_BP4: Tensor, truth_BP4: Tensor, counts_B: Tensor) -> Tensor:
    """Returns the true box of each slot after Hungarian matching by the L1 distance, zeros where there is none."""
    objects_BK4 = truth_BP4[:, : int(counts_B.max())]
    distance_BPK = (boxes_BP4.detach()[:, :, None] - objects_BK4[:, None]).abs().sum(-1)
    objects_BP = hungarian(distance_BPK, counts_B)
    chosen = objects_BK4.gather(1, objects_BP.clamp(min=0)[..., None].expand(-1, -1, 4))
    return chosen * (objects_BP >= 0)[..., None]
