"""Heads against the best constant answer, on made-up predictions whose worth is known."""

import numpy as np
import torch

from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.constant_answer import blank
from foresight_probes.controls.mean_predictor import ConstantScores
from foresight_probes.heads.linear import HEADS
from foresight_probes.metrics.regression_metrics import scalar_scores
from foresight_probes.results.scores import Gathered
from foresight_probes.splits import Split
from foresight_probes.tasks import TaskContext
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.run_spec import BestEpoch, RunSpec
from foresight_probes.training.zeroth_epoch import or_constant

ROWS = range(200)
SPLIT = Split(train=tuple(ROWS[:100]), validation=tuple(ROWS[100:]), test=(), digest="")
ANSWERS = np.random.default_rng(0).normal(3, 1, size=200)


def chosen(share: float) -> tuple[float, bool]:
    """The gain on validation of a head that is noisy, but right for this share, and whether it stands."""
    task = tasks.load("speed", TaskContext(training=()))
    targets = {row: torch.tensor(ANSWERS[row]) for row in ROWS}
    constant = ConstantScores(task, targets, SPLIT, lambda rows: blank([Grid(1, 1, 1)] * len(rows)))
    own, mean = ANSWERS[100:], ANSWERS[:100].mean()
    predicted = mean + share * (own - mean) + np.random.default_rng(1).normal(0, 0.5, size=100)
    scores = Gathered()
    scores.add(SPLIT.validation, scalar_scores(torch.tensor(predicted), torch.tensor(own)))
    value = task.metrics(scores.scores)["r2"]
    fitted = Fitted(
        run=RunSpec("speed", "pooled-linear", 0),
        best=BestEpoch(value, 1, scores=scores),
        head=HEADS["pooled-linear"](width=1, outputs=task.outputs),
        chosen={},
        test_scores=Gathered(),
    )
    result = or_constant(fitted, task, constant, "group-{}".format)
    return value - constant.value(task), "answer" not in result.chosen


def test_a_head_that_is_clearly_better_stands() -> None:
    gain, stands = chosen(0.5)
    assert gain > 0.3
    assert stands


def test_a_head_that_is_better_by_luck_gives_way() -> None:
    """Its errors are as large as the constant's but for less than a standard error: 0.9 / √100, by hand."""
    gain, stands = chosen(0.16)
    assert 0 < gain < 0.09
    assert not stands


def test_a_head_that_is_worse_gives_way() -> None:
    gain, stands = chosen(0.0)
    assert gain < 0
    assert not stands
