"""What features of a study cost: operations of a real cache as torch counts them, and hours worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from foresight_cache.encoders import LoadOptions, load
from foresight_cache.reader import Cache, open_cache
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.planning import Settings, plan_study
from pipelines.study_costs import ExtractionEstimate, extraction_estimates, operations_of
from tests.support import planted
from tests.support.command import foresight
from tests.support.planted_study import STUDY

MODEL = "tiny:qwen2_5_vl"


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Three images at 112 × 112: 8 × 8 patches, 4 × 4 merged tokens."""
    root = tmp_path_factory.mktemp("extracted")
    for words in (
        ("prepare", "single-shape", "--out", root / "shards", "--limit", "3"),
        (
            *("extract", root / "shards", "--model", MODEL, "--size", "112", "--out", root / "cache"),
            *("--points", "vit.block_02,vit.pre_merge,vit.post_merge@mean", "--dtype", "float32"),
        ),
    ):
        run = foresight(*words)
        assert run.returncode == 0, run.stderr
    return open_cache(root / "cache")


def test_operations_of_a_cache_are_those_of_its_forward_pass(extracted: Cache) -> None:
    encoder = load(MODEL, LoadOptions(dtype="float32", device="cpu", attention="eager"))
    inputs = encoder.preprocess([np.zeros((1, 112, 112, 3), np.uint8)], "image")
    found = operations_of(extracted)
    assert not isinstance(found, str)
    assert list(found) == ["vit.block_02", "vit.pre_merge", "vit.post_merge@mean"]
    for point, operations in found.items():
        with FlopCounterMode(display=False) as counter:
            encoder.forward(inputs, [point.partition("@")[0]])
        assert operations == counter.get_total_flops()


def test_why_operations_are_not_known(extracted: Cache, tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    assert operations_of(open_cache(tmp_path / "C")) == "the cache does not say of which configuration its model is"
    extracted.fingerprint["model"]["config_digest"], kept = "0", extracted.fingerprint["model"]["config_digest"]
    assert "is another one than the cache's" in str(operations_of(extracted))
    extracted.fingerprint["model"] |= {"config_digest": kept, "name": "org/model"}
    assert "the configuration of org/model is not on this machine" in str(operations_of(extracted))
    extracted.fingerprint["model"]["name"] = MODEL


def test_hours_are_samples_times_operations_over_speed() -> None:
    """5,000 images of 5.1 TFLOP on an A100 at 0.4 of 312 TFLOP/s take 204 s."""
    own = ExtractionEstimate(dataset="images", samples=5000, points=("E4",), operations=5.1e12, gigabytes=92.0)
    low, high = own.hours["A100"]
    assert low == pytest.approx(204.3 / 3600, rel=1e-3)
    assert high == pytest.approx(4 * low)
    assert own.hours["H100"][0] == pytest.approx(low * 312 / 989)
    assert own.cells() == ["images", "5,000", "1", "5.1", "92.0", "0.057 to 0.23 h", *["0.018 to 0.072 h"] * 2]


def test_what_is_to_be_extracted(extracted: Cache, tmp_path: Path) -> None:
    """A dataset without a cache, at 448 × 448 with 8 frames, and the points that a cache lacks."""
    text = STUDY.replace("model: planted", f"model: {MODEL}").replace(
        'tasks: speed, points: "*"', "tasks: speed, points: [E4, E5]"
    )
    study = parse_study(
        text.replace('["answers.*", nothing.linear]\n    heads', "[E2, E4, llm.layer_01]\n    heads"), "s"
    )
    plan = plan_study(study, join(study, [f"scenes={extracted.path}"]), tmp_path, Settings())
    scenes, clips = extraction_estimates(plan)
    assert (scenes.dataset, scenes.samples, scenes.points) == ("scenes", 3, ("llm.layer_01",))
    assert scenes.gigabytes == 3 * 16 * 128 * 2 / 1e9
    assert (clips.dataset, clips.samples, clips.points) == ("clips", 100, ("vit.pre_merge", "vit.post_merge"))
    tokens = 4 * 32 * 32
    assert clips.gigabytes == 100 * (tokens * 64 + tokens // 4 * 128) * 2 / 1e9
    assert clips.operations
    assert clips.hours["A100"][0] == pytest.approx(100 * clips.operations / (312e12 * 0.4) / 3600)
    unknown = replace(plan, study=replace(study, model="org/model"))
    assert extraction_estimates(unknown)[1].cells() == ["clips", "100", "2", *["not known"] * 5]


def test_a_dry_run_prints_them(extracted: Cache, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    run = foresight("study", tmp_path / "s.yaml", "--cache", f"scenes={extracted.path}", "--dry-run")
    assert run.returncode == 0, run.stderr
    assert "to extract" in run.stdout
    assert "not known of clips: the configuration of planted is not on this machine" in run.stdout
    assert "hours are samples × TFLOP / (peak × share)" in run.stdout
