"""Of candidates the best on validation is chosen, whoever else is trained; and what has not converged says so."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_sources
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.training import candidates, search
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.search import Search
from tests.support import scenes

POINT, TWO = "vit.block_01", "vit.block_01+pixels"
RUNS = [
    RunSpec("counting", "mlp", 0),
    RunSpec("counting", "mlp", 1),
    RunSpec("counting", "mlp", 0, learning_rate=0.01, weight_decay=0.0),
    RunSpec("counting", "attentive", 0),
    RunSpec("boxes", "token-linear", 0),
    RunSpec("position", "conv-decoder", 1, learning_rate=0.001),
]
TOGETHER = [
    RunSpec("counting", "several-attentive", 0),
    RunSpec("counting", "several-concatenated", 0, learning_rate=0.01, weight_decay=0.1),
    RunSpec("position", "several-concatenated", 1),
]
"""Runs on two points at once, which are seen in no view."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 48)


@pytest.fixture(autouse=True)
def views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views of as few directions as the points have."""
    monkeypatch.setattr(candidates, "POOLED_INPUTS", ("channels", "leading-4"))
    monkeypatch.setattr(candidates, "TOKEN_INPUTS", ("leading-6", "channels"))
    monkeypatch.setattr(candidates, "LINEAR_INPUTS", ("start", "leading-4"))


class Searched:
    """A finished search with what it was made of."""

    def __init__(
        self,
        cache: "scenes.Cache",
        runs: Sequence[RunSpec],
        point: str = POINT,
        *,
        test: int | None = None,
        epochs: int = 2,
    ) -> None:
        options = TrainingOptions(epochs=epochs, batch_size=16)
        loaded = load_targets(cache, list(dict.fromkeys(run.task for run in runs)), options)
        split: Split = replace(loaded.split, test=loaded.split.test[:test])
        self.tasks, self.targets = loaded.tasks, loaded.targets
        self.data = FeatureData(open_sources(cache, point), split, loaded.targets, options)
        self.standardization = self.data.standardization()
        self.samples = 0
        self.search = Search(runs, self.tasks, self.data, self.standardization, options, advance=self._advance)
        self.fitted: dict[RunSpec, Fitted] = {own.run: own for own in self.search.fit()}

    def _advance(self, samples: int, size: int) -> None:  # noqa: ARG002
        self.samples += samples


def assert_same(found: Fitted, expected: Fitted) -> None:
    """Weights, what was chosen and scores, bit for bit."""
    assert found.chosen == expected.chosen, found.run
    assert (found.best.value, found.best.epoch) == (expected.best.value, expected.best.epoch), found.run
    assert found.best.weights.keys() == expected.best.weights.keys()
    for name, weight in expected.best.weights.items():
        assert torch.equal(found.best.weights[name], weight), (found.run, name)
    assert found.test_scores.rows.tolist() == expected.test_scores.rows.tolist()
    for one, other in zip(found.test_scores.scores, expected.test_scores.scores, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("runs", "point"), [(RUNS, POINT), (TOGETHER, TWO)], ids=["views", "points"])
def test_a_run_is_the_same_alone_and_in_any_company(cache: "scenes.Cache", runs: list[RunSpec], point: str) -> None:
    company = Searched(cache, runs, point).fitted
    other = Searched(cache, [*runs[::-2], *runs[-2::-2]], point).fitted
    assert list(company) == runs
    for run in runs:
        assert_same(company[run], Searched(cache, [run], point).fitted[run])
        assert_same(other[run], company[run])


@pytest.mark.parametrize(("runs", "point"), [(RUNS, POINT), (TOGETHER, TWO)], ids=["views", "points"])
def test_what_is_chosen_is_the_best_on_validation(
    cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch, runs: list[RunSpec], point: str
) -> None:
    make, groups = Search._group, list[search._Group]()
    monkeypatch.setattr(Search, "_group", lambda self, own: groups.append(make(self, own)) or groups[-1])
    fitted = Searched(cache, runs, point, epochs=4).fitted
    several = 0
    for run, own in fitted.items():
        values = {
            (candidate.inputs or "channels", candidate.trial.learning_rate, candidate.trial.weight_decay): best.value
            for group in groups
            for candidate, best in zip(group.candidates, group.bank.selections, strict=True)
            if candidate.run == run
        }
        assert own.best.value == max(values.values())
        chosen = tuple(own.chosen[name] for name in ("inputs", "learning_rate", "weight_decay"))
        assert values[chosen] == own.best.value
        several += len(set(values.values())) > 1
    assert several >= 2


@pytest.mark.parametrize(("runs", "point"), [(RUNS, POINT), (TOGETHER, TWO)], ids=["views", "points"])
def test_the_head_that_is_kept_has_the_scores_that_are_told(
    cache: "scenes.Cache", runs: list[RunSpec], point: str
) -> None:
    """On the point's own features, whatever view it was trained in."""
    searched = Searched(cache, runs, point)
    for run, own in searched.fitted.items():
        task, targets = searched.tasks[run.task], searched.targets[run.task]
        for side in ("validation", "test"):
            rows = [row for row in searched.data.split.rows(side) if row in targets]
            features = searched.standardization(searched.data.batch(rows).features)
            with torch.no_grad():
                scores = task.scores(own.head(features), [targets[row] for row in rows])
            if side == "validation":
                assert task.metrics(scores)[task.primary] == pytest.approx(own.best.value, abs=1e-5)
            else:
                assert own.test_scores.rows.tolist() == rows
                for one, other in zip(scores, own.test_scores.scores, strict=True):
                    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_the_test_split_has_no_part_in_what_is_chosen(cache: "scenes.Cache") -> None:
    """With the first of its samples alone everything is bit for bit the same, and that sample has the same scores."""
    runs = [RUNS[0], RUNS[4]]
    whole, less = Searched(cache, runs).fitted, Searched(cache, runs, test=1).fitted
    for run in runs:
        assert whole[run].chosen == less[run].chosen
        assert whole[run].best.value == less[run].best.value
        for name, weight in whole[run].best.weights.items():
            assert torch.equal(less[run].best.weights[name], weight)
        assert len(less[run].test_scores.rows) == 1 < len(whole[run].test_scores.rows)


def test_a_run_that_becomes_no_better_has_converged_and_others_have_not(
    cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a step size that changes nothing; with one so small that there is more to learn; without tolerance."""
    monkeypatch.setattr(search, "MOST_ROUNDS", 4)
    still = RunSpec("boxes", "token-linear", 0, learning_rate=1e-12)
    slow = RunSpec("position", "several-concatenated", 0, learning_rate=2e-3)
    assert Searched(cache, [still]).fitted[still].chosen["converged"] is True
    learning = Searched(cache, [slow], TWO).fitted[slow]
    assert learning.chosen["converged"] is False
    assert learning.best.epoch == 6  # the last of three rounds of two
    monkeypatch.setattr(search, "TOLERANCE", -math.inf)
    assert Searched(cache, [still]).fitted[still].chosen["converged"] is False


def test_rounds_end_when_a_run_has_converged(cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a round for all candidates, a round for the best of each view, then rounds for one while it gains."""
    monkeypatch.setattr(search, "MOST_ROUNDS", 4)
    run = RunSpec("counting", "mlp", 0)
    monkeypatch.setattr(search, "TOLERANCE", math.inf)
    soon = Searched(cache, [run], epochs=6)
    train = len(soon.data.split.train)
    assert soon.samples == 2 * (2 + 6) * train
    monkeypatch.setattr(search, "TOLERANCE", -math.inf)
    assert Searched(cache, [run], epochs=6).samples == (2 * (2 + 6) + 6 + 6) * train


@pytest.mark.parametrize(("head", "rates"), [("mlp", 3), ("attentive", 1)])
def test_after_a_part_of_a_round_views_go_on_and_step_sizes_too_where_that_costs_little(
    cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch, head: str, rates: int
) -> None:
    """A step size that is best while nothing has been learned may be too small to learn anything."""
    train, kept = Search._train, list[set[tuple[int, float]]]()

    def remember(self: Search, groups: Any, chosen: Any, epochs: int) -> None:
        kept.extend(
            {(id(group), group.candidates[i].trial.learning_rate) for group, i in own} for own in chosen.values()
        )
        train(self, groups, chosen, epochs)

    monkeypatch.setattr(Search, "_train", remember)
    monkeypatch.setattr(search, "TOLERANCE", -math.inf)
    Searched(cache, [RunSpec("counting", head, 0)])
    views = len({view for view, _ in kept[0]})
    assert views >= 2
    assert len(kept[1]) == rates * views
    assert len(kept[2]) == 1


def test_a_first_value_is_no_sign_of_convergence(cache: "scenes.Cache") -> None:
    """A single candidate that starts from nothing is trained for another round after its first."""
    run = TOGETHER[1]
    searched = Searched(cache, [run], TWO, epochs=1)
    assert searched.samples >= 2 * len(searched.data.split.train)


def test_a_candidate_that_fails_is_as_if_it_had_not_been_tried(
    cache: "scenes.Cache", monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = RUNS[:1] + RUNS[3:4]
    monkeypatch.setattr(candidates, "RATES", (0.3, 1.0))
    expected = Searched(cache, runs).fitted
    monkeypatch.setattr(candidates, "RATES", (1e38, 0.3, 1.0))
    found = Searched(cache, runs)
    assert not found.search.failures
    for run in runs:
        assert_same(found.fitted[run], expected[run])
    monkeypatch.setattr(candidates, "RATES", (1e38, 1e-12))  # of which neither becomes better than what was solved
    (still,) = Searched(cache, RUNS[:1]).fitted.values()
    assert still.chosen["learning_rate"] == 1e-15


def test_a_run_fails_where_all_its_candidates_do(cache: "scenes.Cache") -> None:
    wild = [RunSpec("counting", "mlp", 0, learning_rate=1e38), RunSpec("boxes", "token-linear", 0, learning_rate=1e38)]
    searched = Searched(cache, [wild[0], RUNS[0], wild[1]], epochs=6)
    assert list(searched.fitted) == [RUNS[0]]
    assert list(searched.search.failures) == [0, 2]
    assert searched.search.failures[0].startswith("the loss of counting/mlp-lr1e+38-wd0.3-seed0/channels became ")
    assert_same(searched.fitted[RUNS[0]], Searched(cache, [RUNS[0]], epochs=6).fitted[RUNS[0]])
