"""HALP's perceptron in a bank of heads: in company as alone, with its running means selected, kept and read back."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter
from foresight_probes import tasks
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_sources
from foresight_probes.heads.halp_mlp import HalpNetwork
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result
from foresight_probes.sweeps.run import train
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.training import candidates
from foresight_probes.training.kept_head import load_head
from foresight_probes.training.run_spec import RunSpec
from tests.probes.training.test_bank import SPLIT, assert_same_result, trained
from tests.support import scenes
from tests.support.planted_questions import planted

OPTIONS = TrainingOptions(epochs=6, resamples=50)
POINT, BLIND = "llm.layer_01", "llm.layer_02"
MODEL = {"name": "planted", "weights": "random", "dtype": "bfloat16", "taps": [POINT, BLIND]}
MEMBERS = [RunSpec("hallucination", head, seed) for head in ("halp-mlp", "mlp") for seed in (0, 1)]


@pytest.fixture(scope="module")
def scenes_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 40)


def test_dropout_and_normalisation_are_the_same_alone_and_in_company(scenes_cache: Cache) -> None:
    """In threads beside each other, and with a last batch of a single sample: 23 of 24 with a target, 11 in a batch."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        company = trained(scenes_cache, MEMBERS, epochs=4, batch_size=11)
        for member in MEMBERS:
            assert_same_result(company, trained(scenes_cache, [member], epochs=4, batch_size=11), member)
    finally:
        torch.set_num_threads(usual)


def test_running_means_are_those_of_the_selected_epoch(scenes_cache: Cache) -> None:
    """They have moved, and count as many batches as there were up to the epoch that was chosen."""
    bank = trained(scenes_cache, MEMBERS, epochs=6, learning_rate=0.03)
    assert {best.epoch for best in bank.selections[:2]} != {6}  # or it would say nothing of the choice
    task = tasks.load("hallucination")
    data = FeatureData(open_sources(scenes_cache, "vit.block_01"), SPLIT, {}, TrainingOptions())
    features = bank.standardization(data.batch(SPLIT.validation).features)
    truth = [target for row in SPLIT.validation if (target := task.target(scenes_cache.rows[row])) is not None]
    for head, best in zip(bank.heads[:2], bank.selections[:2], strict=True):
        state = head.state_dict()
        assert int(state["network.layers.2.num_batches_tracked"]) == 3 * best.epoch  # 23 samples, 8 in a batch
        assert state["network.layers.2.running_mean"].abs().max() > 0.01
        with torch.no_grad():
            scores = task.scores(head.eval()(features), truth)
        assert task.selection_value(scores) == pytest.approx(best.value, abs=1e-6)


def test_dropout_is_of_training_alone() -> None:
    network = HalpNetwork(4, torch.nn.Linear(128, 1))
    inputs_BD = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    one, other = network(inputs_BD), network(inputs_BD)
    assert not torch.equal(one, other)
    network.eval()
    assert torch.equal(network(inputs_BD), network(inputs_BD))


@pytest.fixture(scope="module")
def questions_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Judged questions in a real cache: a point that knows the label beyond the category, and one that knows none."""
    vectors_ND, questions = planted(0, images=120, beyond=4.0, of_image=0.2)
    blind_ND = np.random.default_rng(1).normal(size=vectors_ND.shape)
    layout = CacheLayout(
        fingerprint={"model": MODEL, "dataset": {"name": "questions"}, "input": {"size": "56x56"}},
        samples_per_shard=len(questions),
        shards=(ShardSource(name="0.tar", sha256="0" * 64, samples=len(questions)),),
        points={name: PointLayout.fixed("merged", "bfloat16", 1, vectors_ND.shape[1]) for name in (POINT, BLIND)},
    )
    place = tmp_path_factory.mktemp("questions") / "cache"
    with CacheWriter(place, layout) as writer:
        for pending in writer.pending(tuple(layout.points)):
            with writer.shard(pending) as shard:
                for row in range(len(questions)):
                    shard.add(row, POINT, vectors_ND[row : row + 1].astype(ml_dtypes.bfloat16))
                    shard.add(row, BLIND, blind_ND[row : row + 1].astype(ml_dtypes.bfloat16))
                grids = {"pixel": Grid(1, 28, 28), "patch": Grid(1, 2, 2), "merged": Grid(1, 1, 1)}
                shard.commit(
                    [
                        SampleRow(
                            sample=_sample(row, int(label), questions.images[row]),
                            status="ok",
                            reason=None,
                            grids=grids,
                        )
                        for row, label in enumerate(questions.labels_N)
                    ]
                )
    return open_cache(place)


def _sample(row: int, label: int, image: str) -> Sample:
    """Every fiftieth answer is undecided and has no label."""
    hallucinated = None if row % 50 == 0 else bool(label)
    return Sample(
        id=f"questions/test/{row:05d}",
        dataset="questions",
        split="test",
        group=image,
        media="image",
        file_name=f"{image}.png",
        width=28,
        height=28,
        annotations={"qa": {"question": f"question {row}", "hallucinated": hallucinated}},
    )


@pytest.fixture(scope="module")
def results(questions_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Result]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "POOLED_INPUTS", ("channels",))
        found = train(
            questions_cache,
            tasks=["hallucination"],
            points=[POINT, BLIND],
            heads=["pooled-linear", "halp-mlp"],
            out=tmp_path_factory.mktemp("runs"),
            options=OPTIONS,
        )
        return {(result.point, result.head): result for result in found}


@pytest.mark.slow
def test_heads_read_planted_labels_and_nothing_where_nothing_is(results: dict[tuple[str, str], Result]) -> None:
    for point, head in ((point, head) for point in (POINT, BLIND) for head in ("pooled-linear", "halp-mlp")):
        result = results[point, head]
        assert (result.value.value > 0.85) == (point == POINT), (point, head)
        assert result.value.low <= 0.5 or point == POINT
        assert not any(score.id.endswith(("00000", "00050", "00100")) for score in result.scores)


@pytest.mark.slow
@torch.no_grad()
def test_the_kept_head_comes_back_with_its_scores(
    questions_cache: Cache, results: dict[tuple[str, str], Result]
) -> None:
    result = results[POINT, "halp-mlp"]
    assert isinstance(result.scores_source, Path)
    loaded, standardization = load_head(result.scores_source.with_suffix(".safetensors"), result.identity)
    assert any(isinstance(part, HalpNetwork) for part in loaded.modules())  # or it would say nothing of it
    asked = load_targets(questions_cache, ["hallucination"], OPTIONS)
    task, targets = asked.tasks["hallucination"], asked.targets["hallucination"]
    rows = [row for row in asked.split.test if row in targets]
    data = FeatureData(open_sources(questions_cache, POINT), asked.split, asked.targets, OPTIONS)
    scores = task.scores(loaded(standardization(data.batch(rows).features)), [targets[row] for row in rows])
    for score, expected in zip(scores, result.scores, strict=True):
        np.testing.assert_allclose(score, expected.scores, rtol=1e-5, atol=1e-5)
    assert json.loads(result.scores_source.with_suffix(".json").read_text())
