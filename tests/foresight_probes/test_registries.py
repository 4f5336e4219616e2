"""The contract that every head and task keeps, over all files of the folders, and names that are found lightly."""

import subprocess
import sys

import pytest
import torch

from foresight_cache.errors import UnknownName
from foresight_cache.samples import Grid
from foresight_probes import heads, tasks
from foresight_probes.batches import Features, Outputs
from foresight_probes.features import cells

OUTPUTS = Outputs(slots=10, channels=5)


def features(width: int = 6) -> Features:
    tokens = torch.randn(3, 8, width, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[2, 6:] = False
    tokens = tokens * mask[..., None]
    pooled = tokens.sum(1) / mask.sum(1, keepdim=True)
    return Features(tokens=tokens, pooled=pooled, mask=mask, cells=cells(Grid(1, 2, 4)).repeat(3, 1, 1))


@pytest.mark.parametrize("name", heads.names())
class TestHead:
    def test_shapes(self, name: str) -> None:
        found = heads.build(name, width=6, outputs=OUTPUTS, seed=0)(features())
        count = found.values.shape[1]
        assert found.values.shape == (3, count, 5)
        assert found.mask.shape == (3, count)
        assert count == (10 if found.cells is None else 8)

    def test_the_seed_alone_decides_the_weights(self, name: str) -> None:
        before = torch.random.get_rng_state()
        first = heads.build(name, width=6, outputs=OUTPUTS, seed=1)
        torch.rand(7)
        again, other = (heads.build(name, width=6, outputs=OUTPUTS, seed=seed) for seed in (1, 2))
        for one, same in zip(first.parameters(), again.parameters(), strict=True):
            assert torch.equal(one, same)
        assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
        torch.random.set_rng_state(before)

    def test_building_leaves_the_global_random_state(self, name: str) -> None:
        before = torch.random.get_rng_state()
        heads.build(name, width=6, outputs=OUTPUTS, seed=1)
        assert torch.equal(before, torch.random.get_rng_state())

    def test_samples_do_not_see_each_other(self, name: str) -> None:
        head, batch = heads.build(name, width=6, outputs=OUTPUTS, seed=0), features()
        torch.testing.assert_close(head(batch).values[1:2], head(batch.select([1])).values)


def test_slots_begin_apart() -> None:
    """Or they would all be pulled to the same object."""
    for name in ("pooled-linear", "mlp"):
        values = heads.build(name, width=6, outputs=OUTPUTS, seed=0)(features()).values[0]
        assert torch.pdist(values.sigmoid()).min() > 0.05


def test_token_linear_is_one_map_for_all_tokens() -> None:
    """Turning the tokens around turns the predictions around: place enters through the cells alone."""
    head, batch = heads.build("token-linear", width=6, outputs=OUTPUTS, seed=0), features()
    values = head(batch).values
    assert sum(parameter.numel() for parameter in head.parameters()) == 6 * 5 + 5
    weight, bias = head.parameters()
    torch.testing.assert_close(values[0, 3], weight @ batch.tokens[0, 3] + bias)


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match="unknown head 'token-liner'; did you mean 'token-linear'"):
        heads.resolve(["token-liner"])
    with pytest.raises(UnknownName, match="unknown task 'boxs'; did you mean 'boxes'"):
        tasks.load("boxs")


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_names_heads_that_exist(name: str) -> None:
    task = tasks.load(name)
    assert set(heads.resolve([*task.heads, task.constant_head])) <= set(heads.names())


def test_names_cost_no_torch() -> None:
    """With a control that the check can fail."""
    light = "from foresight_probes import heads, tasks, options, results, splits, report; heads.names(), tasks.names()"
    heavy = "from foresight_probes import tasks; tasks.load('boxes')"
    for code, loaded in ((light, "False"), (heavy, "True")):
        script = f"{code}\nimport sys; print('torch' in sys.modules)"
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == loaded
