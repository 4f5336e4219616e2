"""The edges of the picture, drawn from its features."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.geometry import shown
from foresight_cache.samples import Grid
from foresight_probes.batches import Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer, blank
from foresight_probes.features.patches import grid_of
from foresight_probes.metrics import Scores
from foresight_probes.metrics.edge_metrics import around_edges, clip_edge_f1, edge_map
from foresight_probes.metrics.resamples import mean
from foresight_probes.tasks.kinds.cell_means import Thinned
from foresight_probes.tasks.kinds.picture import Picture, drawn, framed, known_pieces, mean_picture, pieces_of

EDGE_WEIGHT = 3.0
"""Weight of edge pixels in the loss. They are few, and a head that weighs all pixels the same and is not sure of the
exact one would draw none."""

SHARES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995)
"""Shares of the pixels, those with the fewest edges, that a constant picture may leave empty."""

ROUNDING = 1e-6
"""Difference of frequencies that is none."""

JUDGED = 24
"""Training samples on which constant pictures are compared, at most."""


class Task(Picture):
    """Predicts, with each token, logits of "edge" for the pixels of its cell, by binary cross-entropy.

    The true edges are those of Canny's detector in the stored pixels (`metrics.edges`); a pixel with a probability
    above 0.5 is drawn as an edge.
    """

    heads = ("token-linear", "conv-decoder")
    primary = "edge_f1"
    metric_names = ("edge_f1",)
    channels = 1

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the true edges, bool [T, H, W, 1], as `Picture` tells; the rim of a letterbox is none."""
        if "pixels" not in sample:
            return None
        frames = np.asarray(sample["pixels"])
        edges = np.zeros(frames.shape[:3], bool)
        inside = (slice(None), *shown(sample))
        edges[inside] = np.stack([edge_map(frame) for frame in frames[inside]])
        return framed(torch.from_numpy(edges[..., None]), sample)

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns edges where most samples have one, or have one near; how many pixels are drawn is tried.

        A drawn pixel is right where an edge is near.
        """
        judged = Thinned[tuple[Tensor, Grid]](JUDGED)

        def maps() -> Iterator[tuple[Tensor, Grid]]:
            for target, grid in targets:
                judged.add((target, grid))
                edges, border = target[..., :1].cpu(), target[..., 1:].cpu()
                near = torch.from_numpy(around_edges(edges.numpy()))
                yield torch.cat([edges, near, border], dim=-1), grid

        frequencies = mean_picture(maps(), 2)
        tried = [
            replace(frequencies, values=values - bound)
            for values in frequencies.values.view(len(frequencies.values), -1, 2).unbind(-1)
            for bound in _bounds(values)
        ]
        return max(tried, key=lambda answer: self._mean_f1(answer, judged))

    def start_values(self, target: Tensor, cells: Tensor | None) -> Tensor:
        """Returns 1 for each pixel of a cell that is an edge and -1 for others, [N, C]."""
        assert cells is not None, "edges are drawn from cells"  # noqa: S101
        return 2 * known_pieces(target, grid_of(cells), self.channels) - 1

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        losses = []
        weight = torch.tensor(EDGE_WEIGHT, device=prediction.values.device)
        for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
            truth, is_shown = pieces_of(target, grid, self.channels)
            asked = slice(None) if is_shown is None else is_shown
            logits = pieces[: grid.tokens][asked]
            losses.append(functional.binary_cross_entropy_with_logits(logits, truth[asked].float(), pos_weight=weight))
        return torch.stack(losses).mean()

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns the F1 score of the edges, one value per sample."""
        scores = []
        for logits_THWC, truth_THWC in drawn(prediction, targets, self.channels):
            edges_THW = (logits_THWC > 0)[..., 0].cpu().numpy()
            scores.append([clip_edge_f1(edges_THW, truth_THWC[..., 0].cpu().numpy())])
        return np.array(scores)

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return {"edge_f1": mean(np.asarray(scores)[:, 0], counts_RS)}

    def _mean_f1(self, answer: ConstantAnswer, samples: Iterable[tuple[Tensor, Grid]]) -> float:
        scores = []
        for target, grid in samples:
            prediction = answer.predict(blank([grid]))
            scores += list(self.scores(prediction, [target]))
        return float(np.mean(scores))


def _bounds(values: Tensor) -> list[float]:
    """Returns bounds that leave about these shares of the values below them, and one that leaves all."""
    rising = values.flatten().sort().values
    least = [float(rising[min(len(rising) - 1, int(share * len(rising)))]) - ROUNDING for share in SHARES]
    return [*dict.fromkeys(least), float(rising[-1])]
