"""Heads that read all tokens, trained by plain Adam from random weights at one step size for so many epochs.

Loss and metric are those of a task, so that only the way to the weights differs from what `foresight train-probe` does.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from foresight_cache.reader import Cache
from foresight_probes import heads
from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.calibration.facts import cell_centres
from foresight_probes.metrics import Scores
from foresight_probes.tasks import Task

BATCH, STEP_SIZE = 32, 1e-3
ATTENTION_HEADS, WIDTH = 8, 256


class DetectionProbe(nn.Module):
    """The detection probe of the study Q2: 100 learned queries and one layer of attention to tokens without places."""

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(outputs.num_predictions, WIDTH))
        self.attention = nn.MultiheadAttention(WIDTH, ATTENTION_HEADS, batch_first=True)
        self.project = nn.Linear(width, WIDTH)
        self.answer = nn.Linear(WIDTH, outputs.channels)

    def forward(self, features: Features) -> Prediction:
        """Returns a prediction of each query."""
        projected_BNC = self.project(features.tokens)
        queries_BPC = self.queries.expand(len(projected_BNC), -1, -1)
        attended_BPC = self.attention(queries_BPC, projected_BNC, projected_BNC, need_weights=False)[0]
        values_BPC = self.answer(attended_BPC)
        return Prediction(values=values_BPC, mask=torch.ones(values_BPC.shape[:2], dtype=torch.bool))


def network_of(head: str, width: int, outputs: OutputSpec) -> nn.Module:
    """Returns a head of the registry with random weights, or `q2-detection`."""
    if head == "q2-detection":
        return DetectionProbe(width=width, outputs=outputs)
    network: nn.Module = heads.load(head)(width=width, outputs=outputs)
    return network


def read_features(cache: Cache, point: str, rows: Sequence[int], like: Sequence[int]) -> Features:
    """Returns the features of samples on one grid, standardised with mean and deviation of those of the rows `like`."""
    tokens_BND = torch.stack([torch.from_numpy(cache[point][row]) for row in rows])
    reference_MD = torch.stack([torch.from_numpy(cache[point][row]) for row in like]).flatten(0, 1)
    tokens_BND = (tokens_BND - reference_MD.mean(0)) / reference_MD.std(0)
    grid = cache[point].grid_of(rows[0])
    sides_N2 = torch.tensor([1 / grid.w, 1 / grid.h]).expand(grid.tokens, 2)
    cells_N4 = torch.cat([torch.from_numpy(cell_centres(grid)).float(), sides_N2], dim=1)
    return Features(
        tokens=tokens_BND,
        pooled=tokens_BND.mean(1),
        mask=torch.ones(tokens_BND.shape[:2], dtype=torch.bool),
        cells=cells_N4.expand(len(rows), -1, -1),
        grids=(grid,) * len(rows),
    )


def fit(head: str, task: Task, features: Features, targets: Sequence[Tensor], *, epochs: int, seed: int) -> nn.Module:
    """Returns the trained head; the seed decides its first weights and the order of samples."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_of(head, features.tokens.shape[2], task.outputs_for(width=1, grid=features.grids[0]))
        optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE)
        for _ in range(epochs):
            for rows in torch.randperm(len(targets)).split(BATCH):  # type: ignore[no-untyped-call]
                picked = rows.tolist()
                loss = task.loss(network(features.select(picked)), [targets[row] for row in picked])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return network


@torch.no_grad()
def scores(network: nn.Module, task: Task, features: Features, targets: Sequence[Tensor]) -> Scores:
    """Returns the task's scores of each sample."""
    return task.scores(network(features), targets)
