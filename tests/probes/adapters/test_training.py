"""Adapters on planted caches: the ceiling where latents are a linear map of tokens, chance where they are noise."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from foresight_cache.errors import ProbeError, UsageError
from foresight_probes.adapters import networks, summary
from foresight_probes.adapters.adapter_result import AdapterResult, read_table
from foresight_probes.adapters.plan import OPTIONS, AdapterRequest, AdapterRun
from foresight_probes.adapters.preparing import open_work
from foresight_probes.adapters.running import AdapterWork, load_adapter, weights_path
from tests.support import planted_adapters as planted

SAMPLES = 80
TRAINED = replace(OPTIONS, epochs=10, batch_size=8, learning_rate=0.015, patience=None)
SHORT = replace(OPTIONS, epochs=6, batch_size=32)
BOTH = "vit.pre_merge+llm.layer_01"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens T, and latents of one point, of both, and of neither; a second cache U of other tokens."""
    root = tmp_path_factory.mktemp("planted")
    tokens = planted.tokens(SAMPLES)
    planted.write_tokens(root / "T", tokens)
    planted.write_tokens(root / "U", planted.tokens(SAMPLES, seed=9), model={"name": "another"})
    fine = planted.linear(planted.cell_means(tokens["vit.pre_merge"]))
    coarse = planted.linear(planted.coarse_means(tokens["llm.layer_01"]), seed=2)
    planted.write_latents(root / "fine", fine)
    planted.write_latents(root / "both", (fine + coarse) / 2)
    draw = np.random.default_rng(3)
    planted.write_latents(root / "noise", draw.normal(size=fine.shape).astype(np.float32))
    return root


def work(folder: Path, latents: str, out: Path, adapter: str, points: str, **fields: object) -> AdapterWork:
    own = {"options": TRAINED, "capacities": (0.01,), **fields}
    request = AdapterRequest(adapters=(adapter,), points=(points,), **own)  # type: ignore[arg-type]
    return open_work([str(folder / "T"), str(folder / "U")], str(folder / latents), request, out, decode=False)


def results(*words: object, **fields: object) -> dict[AdapterRun, AdapterResult]:
    return dict(work(*words, **fields).results())  # type: ignore[arg-type]


def r2(result: AdapterResult) -> float:
    return result.metrics["adapter"]["r2"].value


@pytest.mark.parametrize(("adapter", "least"), [("mlp", 0.95), ("cross-attention", 0.8)])
def test_a_linear_map_of_tokens_is_found(folder: Path, tmp_path: Path, adapter: str, least: float) -> None:
    """Attention has to learn where to look besides; in three times as many steps it comes as near."""
    ((run, result),) = results(folder, "fine", tmp_path, adapter, "vit.pre_merge").items()
    assert r2(result) > least
    assert result.metrics["mean_latent"]["r2"].value == 0
    assert result.metrics["adapter"]["cosine"].value > result.metrics["mean_latent"]["cosine"].value + 0.1
    # The table holds what the metrics are of: R² by hand.
    table = read_table(run.path(tmp_path))
    by_hand = 1 - sum(table["adapter.mse"]) / sum(table["mean_latent.mse"])
    assert by_hand == pytest.approx(r2(result), abs=1e-9)


def test_noise_gives_chance(folder: Path, tmp_path: Path) -> None:
    ((_, result),) = results(folder, "noise", tmp_path, "mlp", "vit.pre_merge").items()
    assert abs(r2(result)) < 0.05


def test_the_mean_latent_takes_the_place_of_what_is_worse(folder: Path, tmp_path: Path) -> None:
    """Each cell has a latent of its own, and the adapter takes steps too small to learn that."""
    draw = np.random.default_rng(4)
    latents = draw.normal(size=(1, 8, 3)) + 0.1 * draw.normal(size=(SAMPLES, 8, 3))
    planted.write_latents(tmp_path / "L", latents.astype(np.float32))
    options = replace(SHORT, learning_rate=1e-9, epochs=2)
    request = AdapterRequest(adapters=("mlp",), points=("vit.pre_merge",), capacities=(0.01,), options=options)
    own = open_work([str(folder / "T")], str(tmp_path / "L"), request, tmp_path / "O", decode=False)
    ((run, result),) = own.results()
    assert (result.folds[0]["epoch"], r2(result)) == (0, 0)
    assert "mlp-0.01M-seed0 of vit.pre_merge: no better than the mean latent" in summary.remarks([(run, result)])
    assert bool(load_adapter(own.plan, run).model.is_constant)


def test_a_second_stream_wins_only_where_it_adds_something(folder: Path, tmp_path: Path) -> None:
    """Planted both ways: latents of both points, and of the first one alone."""
    gains = {}
    for latents in ("both", "fine"):
        options = replace(TRAINED, epochs=7)
        own = work(folder, latents, tmp_path / latents, "dual-stream", BOTH, options=options)
        finished = list(own.results())
        assert r2(finished[0][1]) > 0.8
        gains[latents] = {each.stream: each.gain for each in summary.contributions(own.plan, finished)}
    both, fine = gains["both"], gains["fine"]
    assert both["llm.layer_01"].low > 0.2
    assert both["vit.pre_merge"].low > 0.2
    assert fine["vit.pre_merge"].low > 0.7
    assert abs(fine["llm.layer_01"].value) < 0.05


@pytest.mark.slow
def test_points_of_two_caches_and_of_many_layers(folder: Path, tmp_path: Path) -> None:
    """The second cache has noise: the gates let the first one through."""
    for adapter, points in (("hybrid", "vit.pre_merge+2:vit.pre_merge"), ("multi-scale", f"{BOTH}+2:llm.layer_01")):
        run, result = next(iter(results(folder, "fine", tmp_path, adapter, points).items()))
        assert r2(result) > 0.8
        assert run.title == points


def test_the_same_adapter_from_the_same_seed(folder: Path, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        ((run, _),) = results(folder, "fine", tmp_path / name, "mlp", "vit.pre_merge", options=SHORT).items()
        path = run.path(tmp_path / name)
        files.append([path.read_bytes(), path.with_suffix(".parquet").read_bytes(), weights_path(path, 0).read_bytes()])
    assert files[0] == files[1]
    ((run, _),) = results(folder, "fine", tmp_path / "one", "mlp", "vit.pre_merge", options=SHORT, seeds=(1,)).items()
    assert weights_path(run.path(tmp_path / "one"), 0).read_bytes() != files[0][2]


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests.probes.adapters import test_training as tests

folder, out = map(Path, sys.argv[1:])
own = replace(tests.work(folder, "fine", out, "mlp", "vit.pre_merge", options=tests.SHORT), seconds_between=0.0)
steps = []

def advance(samples, size):
    steps.append(samples)
    if len(steps) == 8:  # in the middle of an epoch, the fourth
        os.kill(os.getpid(), signal.SIGKILL)

list(own.results(advance))
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(tmp_path / "killed")], cwd=Path.cwd())
    assert ended.returncode == -signal.SIGKILL
    ((run, _),) = results(folder, "fine", tmp_path / "whole", "mlp", "vit.pre_merge", options=SHORT).items()
    path = run.path(tmp_path / "killed")
    (state,) = path.parent.iterdir()
    assert state.suffix == ".state", "nothing else is there yet"
    steps: list[int] = []
    own = work(folder, "fine", tmp_path / "killed", "mlp", "vit.pre_merge", options=SHORT)
    ((_, result),) = own.results(lambda samples, _: steps.append(samples))
    assert 0 < len(steps) < 6 * 2, "it went on and did not begin again"
    one, other = (load_file(weights_path(run.path(tmp_path / name), 0)) for name in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not state.exists()
    before = path.stat().st_mtime_ns
    assert list(own.results()) == [(run, result)]
    assert path.stat().st_mtime_ns == before, "a second call trains nothing"


def test_what_is_of_another_adapter_is_refused(folder: Path, tmp_path: Path) -> None:
    own = work(folder, "fine", tmp_path, "mlp", "vit.pre_merge", options=SHORT)
    ((run, _),) = own.results()
    assert load_adapter(own.plan, run).epoch > 0
    other = replace(run, adapter="cross-attention", width=8)
    path = weights_path(run.path(tmp_path), 0)
    foreign = weights_path(other.path(tmp_path), 0)
    foreign.write_bytes(path.read_bytes())
    with pytest.raises(ProbeError, match="holds the weights of another run"):
        load_adapter(own.plan, other)
    state = run.path(tmp_path).with_name("cross-attention-0.01M-seed0.fold-0.state")
    foreign.rename(state)
    with pytest.raises(ProbeError, match="holds the training of another adapter"):
        results(folder, "fine", tmp_path, "cross-attention", "vit.pre_merge", options=SHORT)
    with pytest.raises(ProbeError, match="is of other caches, samples or options than these"):
        work(folder, "noise", tmp_path, "mlp", "vit.pre_merge", options=SHORT)


def test_a_loss_that_diverges_is_a_result(folder: Path, tmp_path: Path) -> None:
    options = replace(SHORT, learning_rate=1e30)
    own = work(folder, "fine", tmp_path, "mlp", "vit.pre_merge", options=options)
    ((run, result),) = own.results()
    assert result.diverged.startswith("diverged in epoch 1")
    assert r2(result) == 0
    assert json.loads(run.path(tmp_path).read_bytes())["folds"][0]["diverged"] == 1
    assert any("diverged in epoch 1" in said for said in summary.remarks([(run, result)]))


def test_latents_that_are_not_finite_are_refused_before_training(folder: Path, tmp_path: Path) -> None:
    broken = np.zeros((SAMPLES, 8, 3), np.float32)
    broken[4, 2, 1] = np.nan
    planted.write_latents(tmp_path / "L", broken)
    request = AdapterRequest(adapters=("mlp",), points=("vit.pre_merge",), capacities=(0.01,))
    with pytest.raises(ProbeError, match="the latent of planted/train/0004 has 1 of 24 numbers that are not finite"):
        open_work([str(folder / "T")], str(tmp_path / "L"), request, tmp_path / "out", decode=False)
    with pytest.raises(UsageError, match="fine has no pixels, which decoded clips are compared with"):
        open_work([str(folder / "T")], str(folder / "fine"), request, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_few_groups_are_tested_in_folds(folder: Path, tmp_path: Path) -> None:
    """Four sources of twenty clips each: each source is tested once, by adapters that saw no clip of it."""
    planted.write_tokens(tmp_path / "T", planted.tokens(12), groups=4)
    means = planted.linear(planted.cell_means(planted.tokens(12)["vit.pre_merge"]))
    planted.write_latents(tmp_path / "L", means, groups=4)
    options = replace(SHORT, folds=4, epochs=2)
    request = AdapterRequest(adapters=("mlp",), points=("vit.pre_merge",), capacities=(0.01,), options=options)
    own = open_work([str(tmp_path / "T")], str(tmp_path / "L"), request, tmp_path / "O", decode=False, shares=(1, 0.1))
    ((run, result),) = own.results()
    assert result.samples == 12
    assert len(result.folds) == 4
    table = read_table(run.path(tmp_path / "O"))
    assert all(
        len({f for f, g in zip(table["fold"], table["group"], strict=True) if g == group}) == 1
        for group in table["group"]
    )
    assert "undecided, too few groups: 4" in summary.remarks([(run, result)])[-1]
    assert [own["tokens"] for own in result.pruning] == [144, 14]
    assert result.pruning[0]["r2"]["value"] == pytest.approx(r2(result))


def test_capacities_are_met_by_width(folder: Path, tmp_path: Path) -> None:
    own = work(folder, "fine", tmp_path, "dual-stream", BOTH, capacities=(1, 50))
    for run in own.plan.runs:
        assert run.parameters == pytest.approx(run.capacity * 1e6, rel=0.1)
    shape = own.plan.shape(own.plan.runs[0])
    built = networks.build("dual-stream", shape, 8, seed=0)
    assert sum(each.numel() for each in built.parameters()) == networks.parameters_of("dual-stream", shape, 8)
