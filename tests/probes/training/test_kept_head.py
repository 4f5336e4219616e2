"""Heads that are read from the files of runs predict what the runs were evaluated by."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from foresight_cache.errors import ProbeError
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_sources
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result
from foresight_probes.sweeps.run import train
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.training import candidates
from foresight_probes.training.kept_head import load_head
from foresight_probes.training.started_head import ViewedHead
from tests.support import scenes

OPTIONS = TrainingOptions(epochs=6, resamples=10)
INFORMED, EMPTY = "vit.block_01", "vit.block_02"
KEPT = [
    *(("counting", INFORMED, head) for head in ("ridge", "pooled-linear", "mlp", "attentive", "spatial-softmax")),
    *(("boxes", INFORMED, head) for head in ("token-linear", "conv-decoder", "attentive")),
    *(("patch-class", INFORMED, head) for head in ("token-linear", "conv-decoder", "global-linear")),
    ("counting", f"{INFORMED}+pixels", "several-attentive"),
    ("boxes", EMPTY, "mlp"),
    ("patch-class", EMPTY, "token-linear"),
]
"""Runs: solved heads, linear ones that are trained, heads with views of means and of tokens, on two points at once, and
such that found nothing."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    cache = scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)
    for row in cache.rows:
        for number, thing in enumerate(row["annotations"]["objects"]):
            thing["category_id"] = 1 + number % 2
    return cache


@pytest.fixture(scope="module")
def results(cache: "scenes.Cache", tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Result]:
    found, out = {}, tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "POOLED_INPUTS", ("leading-4",))
        patch.setattr(candidates, "TOKEN_INPUTS", ("channels",))
        for task, point in dict.fromkeys((task, point) for task, point, _ in KEPT):
            heads = [head for own, place, head in KEPT if (own, place) == (task, point)]
            for result in train(cache, tasks=[task], points=[point], heads=heads, out=out, options=OPTIONS):
                found[task, result.point, result.head] = result
    return found


def checkpoint(result: Result) -> Path:
    assert isinstance(result.scores_source, Path)
    return result.scores_source.with_suffix(".safetensors")


@pytest.mark.parametrize(("task", "point", "head"), KEPT)
@torch.no_grad()
def test_a_head_comes_back_with_its_scores(
    cache: "scenes.Cache", results: dict[tuple[str, str, str], Result], task: str, point: str, head: str
) -> None:
    result = results[task, point, head]
    loaded, standardization = load_head(checkpoint(result), result.identity)
    assert sum(parameter.numel() for parameter in loaded.parameters()) == result.parameters
    asked = load_targets(cache, [task], OPTIONS)
    own, targets = asked.tasks[task], asked.targets[task]
    rows = [row for row in asked.split.test if row in targets]
    data = FeatureData(open_sources(cache, point), asked.split, asked.targets, OPTIONS)
    features, truth = standardization(data.batch(rows).features), [targets[row] for row in rows]
    if own.transforms_batch:
        features, truth = own.transform_batch(features, truth)  # type: ignore[assignment]
    scores = own.scores(loaded(features), truth)
    assert [score.id for score in result.scores] == [cache.rows[row]["id"] for row in rows]
    for score, expected in zip(scores, result.scores, strict=True):
        np.testing.assert_allclose(score, expected.scores, rtol=1e-5, atol=1e-5)
    assert own.metrics(scores)[own.primary] == pytest.approx(result.value.value, abs=1e-5)


def test_runs_of_all_kinds_were_kept(results: dict[tuple[str, str, str], Result]) -> None:
    """So that the test above is of what it says."""
    loaded = {kept: load_head(checkpoint(results[kept]), results[kept].identity)[0] for kept in KEPT}
    trained = [kept for kept, head in loaded.items() if isinstance(head, ViewedHead)]
    assert {head for _, _, head in trained} >= {"mlp", "attentive", "conv-decoder"}
    assert {results[kept].validation["inputs"] for kept in trained} >= {"leading-4", "channels"}
    assert any(results[kept].validation["epoch"] > 0 for kept in trained)
    constant = {kept for kept in KEPT if "answer" in results[kept].validation}
    assert constant >= set(KEPT[-2:])
    assert not constant & set(trained)


def test_files_that_do_not_tell(results: dict[tuple[str, str, str], Result], tmp_path: Path) -> None:
    result = results["counting", INFORMED, "mlp"]
    whole, path = checkpoint(result), tmp_path / "run.safetensors"
    with pytest.raises(ProbeError, match="run.safetensors is missing or damaged"):
        load_head(path, result.identity)
    with pytest.raises(ProbeError, match="holds the weights of another run"):
        load_head(whole, "0" * 64)
    with safe_open(whole, framework="pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    for wrong in ("{}", json.dumps(recipe | {"head": "attentive"}), json.dumps(recipe | {"head": "mpl"}), "[1]"):
        save_file(load_file(whole), path, metadata={"identity": result.identity, "recipe": wrong})
        with pytest.raises(ProbeError, match="does not tell how its head is made .*; train its run again"):
            load_head(path, result.identity)
    save_file(load_file(whole), path, metadata={"identity": result.identity, "recipe": "{"})
    with pytest.raises(ProbeError, match="run.safetensors is missing or damaged"):
        load_head(path, result.identity)
