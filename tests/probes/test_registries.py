"""The contract that every head and task keeps, over all files of the folders, and names that are found lightly."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.registry import Registry
from foresight_cache.samples import Grid
from foresight_probes import heads, tasks
from foresight_probes.batches import Features, OutputSpec
from foresight_probes.features.patches import grid_cells
from foresight_probes.heads.layers.base import LinearHead, ProbeHead, SolvableHead

WIDTH = 6
OUTPUTS = OutputSpec(num_predictions=10, channels=5, grid=Grid(2, 2, 4))
EVEN, RAGGED = (Grid(2, 2, 4),) * 3, (Grid(2, 2, 4), Grid(2, 2, 4), Grid(2, 1, 4))
ONE_GRID = ("global-linear",)
"""Heads that take samples of one size alone."""
LINEAR = [name for name in heads.names() if issubclass(cast(type, heads.load(name)), LinearHead)]
NEVER_TRAINED = ("knn",)
"""Heads that have no weights but what a solver keeps."""


def features(grids: tuple[Grid, ...] = EVEN, width: int = WIDTH, seed: int = 0) -> Features:
    longest = max(grid.tokens for grid in grids)
    mask = torch.stack([torch.arange(longest) < grid.tokens for grid in grids])
    tokens = torch.randn(len(grids), longest, width, generator=torch.Generator().manual_seed(seed)) * mask[..., None]
    places = torch.zeros(len(grids), longest, 4)
    for row, grid in enumerate(grids):
        places[row, : grid.tokens] = grid_cells(grid)
    pooled = tokens.sum(1) / mask.sum(1, keepdim=True)
    return Features(tokens=tokens, pooled=pooled, mask=mask, cells=places, grids=grids)


def stir(head: torch.nn.Module) -> None:
    """Changes every weight a little: some begin at zero, where others have no effect."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def built(name: str, outputs: OutputSpec = OUTPUTS, seed: int = 0) -> tuple[ProbeHead, Features]:
    """A head as it is evaluated, and what it is given: two points where it takes several."""
    ragged = EVEN if name in ONE_GRID else RAGGED
    batch = features(ragged)
    try:
        head = heads.build(name, width=WIDTH, outputs=outputs, seed=seed).eval()
    except TypeError:
        pytest.fail(f"{name} is not made as the protocol says")
    if head.takes_several:
        other = features(tuple(Grid(grid.t, 1, 2) for grid in ragged), width=3, seed=1)
        head = heads.build(name, width=(WIDTH, 3), outputs=outputs, seed=seed).eval()
        return head, replace(batch, others=(other,))
    return head, batch


@pytest.mark.parametrize("name", heads.names())
class TestHead:
    def test_shapes(self, name: str) -> None:
        """As many predictions as slots or as cells, and each sample's exist."""
        head, batch = built(name)
        found = head(batch)
        count = found.values.shape[1]
        assert found.values.shape == (3, count, 5)
        assert found.mask.shape == (3, count)
        assert found.places is None or found.places.shape == (3, count, 2)
        if found.cells is None:
            assert count == 10
            assert found.mask.all()
        else:
            assert found.cells.shape == (3, count, 4)
            assert [grid.tokens for grid in found.grids] == found.mask.sum(1).tolist()
            assert max(grid.tokens for grid in found.grids) == count
        assert torch.isfinite(found.values).all()

    def test_the_form_is_one_that_the_task_takes(self, name: str) -> None:
        for form in ("per_sample", "per_token"):
            outputs = replace(OUTPUTS, predicts=(form,))
            if heads.fitting(name, outputs):
                head, batch = built(name, outputs)
                assert (head(batch).cells is None) == (form == "per_sample")
            else:
                with pytest.raises(UsageError, match=f"the head '{name}' makes a prediction from .*; use one of"):
                    heads.build(name, width=WIDTH, outputs=outputs, seed=0)

    def test_the_seed_alone_decides_the_weights(self, name: str) -> None:
        before = torch.random.get_rng_state()
        first, _ = built(name, seed=1)
        torch.rand(7)
        again, other = (built(name, seed=seed)[0] for seed in (1, 2))
        one, same, different = (list(head.state_dict().values()) for head in (first, again, other))
        assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(one, different, strict=True))
        torch.random.set_rng_state(before)

    def test_building_leaves_the_global_random_state(self, name: str) -> None:
        before = torch.random.get_rng_state()
        built(name, seed=1)
        assert torch.equal(before, torch.random.get_rng_state())

    def test_samples_do_not_see_each_other(self, name: str) -> None:
        head, batch = built(name)
        torch.testing.assert_close(head(batch).values[1:2], head(batch.select([1])).values)

    def test_padding_is_not_seen(self, name: str) -> None:
        """A short sample gives the same beside a longer one as alone."""
        for form in heads.load(name).predicts:
            head, batch = built(name, replace(OUTPUTS, predicts=(form,)))
            last = batch.select([2])
            cut = replace(last, **{name: getattr(last, name)[:, :8] for name in ("tokens", "mask", "cells")})
            alone = head(last if name in ONE_GRID else cut).values
            torch.testing.assert_close(head(batch).values[2:, : alone.shape[1]], alone)

    def test_a_gradient_reaches_every_weight(self, name: str) -> None:
        head, batch = built(name)
        if name in NEVER_TRAINED:
            assert not list(head.parameters())
            return
        stir(head)
        found = head(batch)
        (found.values * torch.randn(found.values.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
        assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in head.parameters())

    def test_a_residual_begins_at_zero_and_can_leave_it(self, name: str) -> None:
        for form in heads.load(name).predicts if name not in NEVER_TRAINED else ():
            head, batch = built(name, replace(OUTPUTS, predicts=(form,), residual=True))
            values = head(batch).values
            assert not values.any()
            (values * torch.randn(values.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
            assert any(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


def test_slots_begin_apart() -> None:
    """Or they would all be pulled to the same object."""
    for name in heads.names():
        if "per_sample" in heads.load(name).predicts and name not in NEVER_TRAINED:
            head, batch = built(name, replace(OUTPUTS, predicts=("per_sample",)))
            prediction = head(batch)
            apart = prediction.values.sigmoid() if prediction.places is None else prediction.places
            assert torch.pdist(apart[0]).min() > 0.05, name


def test_token_linear_is_one_map_for_all_tokens() -> None:
    """Turning the tokens around turns the predictions around: place enters through the cells alone."""
    head, batch = built("token-linear")
    values = head(batch).values
    assert sum(parameter.numel() for parameter in head.parameters()) == 6 * 5 + 5
    weight, bias = head.parameters()
    torch.testing.assert_close(values[0, 3], weight @ batch.tokens[0, 3] + bias)


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match="unknown head 'token-liner'; did you mean 'token-linear'"):
        heads.resolve(["token-liner"])
    with pytest.raises(UnknownName, match="unknown task 'boxs'; did you mean 'boxes'"):
        tasks.load("boxs")


def test_a_file_lists_its_heads_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names come from the text of a file; the one that lists heads and cannot be imported shows it."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "some_heads"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "single_one.py").write_text("Head = 1\n")
    (folder / "twins.py").write_text("HEADS = {'zebra': 2, 'a-twin': 3}\n")
    (folder / "broken.py").write_text("1 / 0\nHEADS = {'broken-one': 4}\n")
    registry = Registry("some_heads", "head", hyphens=True, variable="Head", table="HEADS")
    assert registry.names() == ("a-twin", "broken-one", "single-one", "zebra")
    assert [registry.component(name) for name in ("single-one", "a-twin", "zebra")] == [1, 3, 2]
    with pytest.raises(ZeroDivisionError):
        registry.component("broken-one")
    with pytest.raises(UnknownName, match="unknown head 'twins'"):
        registry.component("twins")


@pytest.mark.parametrize("name", [name for name in heads.names() if heads.solver(name)])
def test_heads_that_are_solved_are_linear_or_never_trained(name: str) -> None:
    assert issubclass(cast(type, heads.load(name)), SolvableHead)
    assert (name in LINEAR) != (name in NEVER_TRAINED)


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_names_heads_that_fit(name: str) -> None:
    task = tasks.load(name)
    outputs = task.outputs_for(width=WIDTH, grid=Grid(2, 4, 4))
    assert all(heads.fitting(head, outputs) for head in heads.resolve(task.heads))


def test_names_cost_no_torch() -> None:
    """With a control that the check can fail."""
    light = "from foresight_probes import heads, tasks, options, results, splits, report; heads.names(), tasks.names()"
    heavy = "from foresight_probes import tasks; tasks.load('boxes')"
    for code, loaded in ((light, "False"), (heavy, "True")):
        script = f"{code}\nimport sys; print('torch' in sys.modules)"
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == loaded


@pytest.mark.parametrize("name", LINEAR)
def test_linear_heads_are_their_matrix_and_a_shape(name: str) -> None:
    """So that many of them can be computed with one matrix."""
    head, batch = built(name)
    assert [name for name, _ in head.named_parameters()] == ["linear.weight", "linear.bias"]
    assert isinstance(head, LinearHead)
    inputs_BRD, exists_BR = head.inputs(batch)
    assert exists_BR.shape == inputs_BRD.shape[:2]
    assert torch.equal(head.as_prediction(head.linear(inputs_BRD), batch).values, head(batch).values)


@pytest.mark.parametrize("name", [name for name in heads.names() if not heads.reads_tokens(name)])
def test_heads_that_read_pooled_features_touch_nothing_else(name: str) -> None:
    head, batch = built(name)
    blank = replace(
        batch, tokens=torch.zeros(3, 1, 1), mask=torch.zeros(3, 1, dtype=torch.bool), cells=batch.cells[:, :1]
    )
    assert torch.equal(head(blank).values, head(batch).values)
