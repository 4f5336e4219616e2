"""Heads in a bank do not depend on each other, select on validation and report the test split once."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from foresight_cache.errors import Interrupted, UsageError
from foresight_probes import heads, tasks, training
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.tasks import TaskContext
from foresight_probes.training.bank import Bank
from foresight_probes.training.batched_linear import BatchedLinear
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.step_sizes import warmup_cosine
from foresight_probes.training.trainer import fit
from tests.support import scenes

SPLIT = Split(train=tuple(range(24)), validation=tuple(range(24, 32)), test=tuple(range(32, 40)), digest="")
ALL = [RunSpec("boxes", head, seed) for head in ("pooled-linear", "token-linear", "mlp") for seed in (0, 1)]
GRID = [
    *(
        RunSpec(task, "pooled-linear", 0, learning_rate=rate)
        for task in ("counting", "position")
        for rate in (1e-3, 1e-1)
    ),
    *(RunSpec("position", "token-linear", seed, weight_decay=decay) for seed in (0, 1, 2) for decay in (0.0, 1.0)),
    RunSpec("counting", "mlp", 0),
    *(RunSpec("hallucination", "pooled-linear", seed, learning_rate=rate) for seed in (0, 1) for rate in (1e-3, 0.1)),
]
"""Tasks with questions for all samples and for some, matrices of one column and of five."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 40)


def trained(cache: "scenes.Cache", members: list[RunSpec], split: Split = SPLIT, **options: float | str) -> Bank:
    chosen = TrainingOptions(**{"epochs": 3, "batch_size": 8} | options)  # type: ignore[arg-type]
    setting = TaskContext(samples=cache.rows, training=cache.rows)
    known = {name: tasks.load(name, setting) for name in {member.task for member in members}}
    targets = {
        name: {row: t for row in range(40) if (t := task.target(cache.rows[row])) is not None and row != 5}
        for name, task in known.items()
    }
    pooled = all(member.head == "pooled-linear" or member.head.startswith("mlp") for member in members)
    data = FeatureData(open_source(cache, "vit.block_01"), split, targets, chosen, tokens=not pooled)
    bank = Bank(members, known, data.standardization(), chosen, grid=data.grid)
    fit(bank, data)
    return bank


def assert_same_result(company: Bank, alone: Bank, member: RunSpec) -> None:
    """Weights, selected epoch and scores, bit for bit."""
    ours, theirs = company.runs.index(member), alone.runs.index(member)
    weights = alone.heads[theirs].state_dict()
    assert all(torch.equal(found, weights[name]) for name, found in company.heads[ours].state_dict().items()), member
    assert company.selections[ours].epoch == alone.selections[theirs].epoch
    assert company.selections[ours].value == alone.selections[theirs].value
    found, expected = company.test_scores[ours], alone.test_scores[theirs]
    assert found.rows.tolist() == expected.rows.tolist()
    for one, other in zip(found.scores, expected.scores, strict=True):
        np.testing.assert_array_equal(one, other)


ALONE = [RunSpec("boxes", head, seed) for head in ("attentive", "mlp") for seed in (0, 1)]
"""Heads that share no matrix with others."""


@pytest.mark.parametrize(
    ("members", "large"),
    [(ALL, 0), (GRID, 0), (ALONE, 0), (ALONE, 1)],
    ids=["heads", "grid", "alone", "large"],
)
def test_a_head_is_the_same_alone_and_in_any_company(
    cache: "scenes.Cache", members: list[RunSpec], large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.single_head, "LARGE", large or training.single_head.LARGE)
    company = trained(cache, members)
    other = trained(cache, [*members[::-2], *members[-2::-2]])
    for member in members:
        assert_same_result(company, trained(cache, [member]), member)
        assert_same_result(other, company, member)


def test_how_many_threads_a_head_has_does_not_depend_on_its_company(
    cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that reads means is the same beside one whose tokens take several threads; eight round differently."""
    monkeypatch.setattr(training.trainer, "SMALL_BATCH", 3000)
    members = [RunSpec("boxes", "mlp", 0), RunSpec("boxes", "mlp-512-256-128", 0), RunSpec("boxes", "token-linear", 0)]
    usual = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        company = trained(cache, members)
        for member in members:
            assert_same_result(company, trained(cache, [member]), member)
        assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(usual)


def test_a_head_stops_when_it_becomes_no_better_and_others_go_on(cache: "scenes.Cache") -> None:
    members = [RunSpec("position", "token-linear", 0, learning_rate=rate) for rate in (0.003, 1e-9)]
    bank = trained(cache, members, epochs=12, patience=5)
    whole = trained(cache, members, epochs=12)
    assert bank.selections[1].epoch <= 3  # a step size that changes nothing
    assert list(bank._learners) == [0, 1]  # all are tested
    assert bank.selections[0].epoch == whole.selections[0].epoch > 8
    assert_same_result(bank, whole, members[0])


def test_linear_heads_are_computed_together(cache: "scenes.Cache") -> None:
    """Those of one kind and task, as many as there is room for: six with five columns where 32 are allowed."""
    many = [RunSpec("position", "token-linear", seed) for seed in range(8)]
    bank = trained(cache, [*GRID, *many], epochs=1)
    learners = [learner for learner in dict.fromkeys(bank._learners.values()) if isinstance(learner, BatchedLinear)]
    assert [(learner.task, [matrix.runs for matrix in learner.matrices]) for learner in learners] == [
        ("counting", [(0, 1)]),
        ("position", [(2, 3)]),
        ("position", [(4, 5, 6, 7, 8, 9), (15, 16, 17, 18, 19, 20), (21, 22)]),
        ("hallucination", [(11, 12, 13, 14)]),
    ]


@pytest.mark.parametrize("head", ["pooled-linear", "token-linear", "mlp"])
def test_a_head_learns_as_with_the_optimiser_of_torch(cache: "scenes.Cache", head: str) -> None:
    """AdamW on the head's own parameters, no decay of biases, and the same batches and step sizes."""
    member = RunSpec("boxes", head, 3, learning_rate=0.02, weight_decay=0.7)
    bank = trained(cache, [RunSpec("boxes", head, 5), member], epochs=2)
    options = TrainingOptions(epochs=2, batch_size=8)
    task = tasks.load("boxes", TaskContext(samples=cache.rows, training=cache.rows))
    targets = {"boxes": {row: task.target(cache.rows[row]) for row in range(40) if row != 5}}
    targets["boxes"] = {row: target for row, target in targets["boxes"].items() if target is not None}
    data = FeatureData(open_source(cache, "vit.block_01"), SPLIT, targets, options)
    standardise = data.standardization()
    width = len(standardise.token_mean)
    alone = heads.build(head, width=width, outputs=task.outputs_for(width=width, grid=data.grid), seed=3)
    optimiser = torch.optim.AdamW(
        [
            {"params": [each for each in alone.parameters() if each.ndim > 1], "weight_decay": 0.7},
            {"params": [each for each in alone.parameters() if each.ndim == 1], "weight_decay": 0.0},
        ]
    )
    loader, validated = data.train_dataloader(), []
    for epoch in range(2):
        for number, batch in enumerate(loader):
            for group in optimiser.param_groups:
                group["lr"] = 0.02 * warmup_cosine(epoch * len(loader) + number, 2 * len(loader))
            asked = [place for place, target in enumerate(batch.targets["boxes"]) if target is not None]
            optimiser.zero_grad()
            features = standardise(batch.features).select(asked)
            task.loss(alone(features), [batch.targets["boxes"][place] for place in asked]).backward()
            optimiser.step()
        validated.append({name: value.clone() for name, value in alone.state_dict().items()})
    expected = validated[bank.selections[1].epoch - 1]
    for name, value in bank.heads[1].state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


def test_the_best_epoch_by_validation_is_what_is_reported(cache: "scenes.Cache") -> None:
    """The heads that are left reach the selected values on the validation split, which differ from the last epoch's."""
    bank = trained(cache, ALL, epochs=6, learning_rate=0.3)  # a rate at which the last epoch is not the best for all
    assert any(best.epoch < 6 for best in bank.selections)
    task = tasks.load("boxes")
    data = FeatureData(open_source(cache, "vit.block_01"), SPLIT, {}, TrainingOptions())
    features = bank.standardization(data.batch(SPLIT.validation).features)
    targets = [task.target(cache.rows[row]) for row in SPLIT.validation]
    for head, best in zip(bank.heads, bank.selections, strict=True):
        with torch.no_grad():
            scores = task.scores(head(features), [target for target in targets if target is not None])
        assert task.metrics(scores)["mean_iou"] == pytest.approx(best.value, abs=1e-6)


def test_the_test_split_has_no_part_in_training_or_selection(cache: "scenes.Cache") -> None:
    """Without most of it weights and selection are bit for bit the same."""
    whole = trained(cache, ALL[2:3])
    less = trained(cache, ALL[2:3], Split(train=SPLIT.train, validation=SPLIT.validation, test=(39,), digest=""))
    assert whole.selections[0].epoch == less.selections[0].epoch
    assert all(torch.equal(a, b) for a, b in zip(whole.heads[0].parameters(), less.heads[0].parameters(), strict=True))
    assert whole.test_scores[0].rows.tolist() == list(range(32, 40))
    assert less.test_scores[0].rows.tolist() == [39]


def test_validation_decides(cache: "scenes.Cache") -> None:
    """Control of the test above: with another validation split another value is selected."""
    whole = trained(cache, ALL[2:3])
    other = trained(cache, ALL[2:3], Split(train=SPLIT.train, validation=(24, 25), test=SPLIT.test, digest=""))
    assert whole.selections[0].value != other.selections[0].value


def test_the_others_learn_the_same_beside_a_head_that_diverges(cache: "scenes.Cache") -> None:
    sound = [member for member in GRID if member.task == "counting"]
    wild = RunSpec("counting", "pooled-linear", 0, learning_rate=1e38)
    bank = trained(cache, [*sound, wild], epochs=6)
    assert list(bank.failures) == [len(sound)]
    alone = trained(cache, sound, epochs=6)
    for member in sound:
        assert_same_result(bank, alone, member)


@pytest.mark.parametrize("head", ["token-linear", "mlp"])
def test_a_loss_that_is_not_finite_is_a_failure_of_that_member_alone(cache: "scenes.Cache", head: str) -> None:
    wild = RunSpec("boxes", head, 0, learning_rate=1e38)
    bank = trained(cache, [wild, ALL[2]], epochs=20)
    assert re.fullmatch(rf"the loss of boxes/{head}-lr1e\+38-seed0 became .*; use a smaller .*", bank.failures[0])
    alone = trained(cache, ALL[2:3], epochs=20)
    assert torch.equal(bank.heads[1].linear.weight, alone.heads[0].linear.weight)


@pytest.mark.parametrize("task", ["boxes", "counting", "hallucination"])
def test_answers_that_are_not_finite_are_not_scored(cache: "scenes.Cache", task: str) -> None:
    """After a single step, so that validation is the first to see what it did."""
    bank = trained(cache, [RunSpec(task, "pooled-linear", 0, learning_rate=1e38)], epochs=1, batch_size=24)
    assert re.search("became (-?inf|nan);", bank.failures[0])
    assert not bank.selections[0].epoch


@pytest.mark.parametrize(("head", "rate"), [("mlp", 1e12), ("pooled-linear", 1e25)])
def test_finite_answers_whose_loss_is_not_are_a_failure(cache: "scenes.Cache", head: str, rate: float) -> None:
    """Their squares overflow."""
    bank = trained(cache, [RunSpec("counting", head, 0, learning_rate=rate)], epochs=2, batch_size=24)
    assert "became inf;" in bank.failures[0]
    assert bank.selections[0].epoch == 1


def test_a_device_that_is_not_there(cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="device is 'cuda', but torch finds none here; use 'auto' or 'cpu'"):
        trained(cache, ALL[:1], device="cuda")


def test_ctrl_c_is_interrupted(cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bank, "validation_step", press)
    with pytest.raises(Interrupted, match="interrupted while training on vit.block_01"):
        trained(cache, ALL[2:3])


def test_nothing_is_printed_or_left_behind(cache: "scenes.Cache", tmp_path: Path) -> None:
    """In a process of its own, because pytest holds back what Lightning logs and warns."""
    script = f"""
from pathlib import Path
from foresight_cache.reader import open_cache
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.run import train
train(open_cache({cache.path!r}), tasks=["boxes"], points=["vit.block_01"], heads=["mlp"],
      out=Path("runs"), options=TrainingOptions(epochs=1, resamples=10))
"""
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
