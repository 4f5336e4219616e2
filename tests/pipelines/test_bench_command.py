"""The benchmark's own parts: its cache is one that every task accepts, and its scan reads the bytes that there are."""

import json
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import open_cache
from foresight_cache.format.codecs import CODECS
from foresight_cache.samples import Grid
from foresight_probes.metrics.coco_average_precision import summary
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.targets import load_targets
from pipelines.bench import codecs, intervals, probes
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure, medians, table
from tests.support import planted
from tests.support.command import foresight, said


def test_the_cache_of_noise_has_questions_for_every_task(tmp_path: Path) -> None:
    cache = probes.write_cache(tmp_path / "cache", 70, Grid(1, 2, 3), 4)
    assert cache[probes.POINT].shape == (70, 6, 4)
    loaded = load_targets(cache, (*probes.TASKS, "patch-class"), TrainingOptions())
    assert min(len(by_row) for by_row in loaded.targets.values()) > 50  # of some it is not clear what the answer is
    assert sum(loaded.split.sizes().values()) == 70


def test_the_bare_scan_reads_what_the_reader_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = probes.write_cache(tmp_path / "cache", 70, Grid(1, 2, 3), 4)
    seen: list[bytes] = []
    monkeypatch.setattr(probes.np, "copyto", lambda _, source: seen.append(bytes(source)))
    probes.scan(cache)
    assert seen == [cache[probes.POINT].stored(row).tobytes() for row in range(70)]


def test_the_bootstrap_and_pycocotools_work_on_the_same_images() -> None:
    pictures = list(intervals.draw(25))
    theirs = intervals.whole(pictures)
    theirs.evaluate()
    theirs.accumulate()
    precision = theirs.eval["precision"][..., 0, 0]  # IoUs, recalls and classes, of all sizes
    expected = precision[:, :, (precision > -1).any((0, 1))].mean()
    found = summary([picture.packed() for picture in pictures], np.ones((1, 25), np.int64))
    assert found["map_0.5:0.95"][0] == pytest.approx(expected)
    assert {len(picture.boxes) for picture in pictures} == {intervals.DETECTIONS}


def test_intervals_beside_pycocotools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    draw = intervals.draw
    monkeypatch.setattr(intervals, "draw", lambda _: draw(12))
    monkeypatch.setattr(intervals, "bootstrap", lambda scores, *_, resamples: (len(scores), resamples))
    resampling, matching = intervals.run(tmp_path, quick=True, given=Given())
    assert resampling.reached
    assert matching.value > 0


def test_figures() -> None:
    first, second = medians([lambda: None, lambda: np.ones(10**6).sum()], 3)
    assert 0 <= first < second
    assert Figure(name="", value=0.9, target=">= 0.8", detail="").reached is True
    assert Figure(name="", value=2.1, target="<= 2", detail="").reached is False
    assert "| a | 2.10 | <= 2 | no |" in table([Figure(name="a", value=2.1, target="<= 2", detail="")])


def test_an_unknown_part() -> None:
    assert "unknown benchmark 'probs'; did you mean 'probes'" in said("bench", "probs", status=2)


def test_raw_bytes_and_every_codec_give_the_same_numbers(tmp_path: Path) -> None:
    numbers = []
    for codec in CODECS:
        points = planted.compressed({"vit.block_01": planted.fixed_points()["vit.block_01"]}, codec)
        planted.write(tmp_path / codec, planted.plan(points))
        point = open_cache(tmp_path / codec)["vit.block_01"]
        batch = np.ones((16, 24, 10), point.dtype)
        codecs._read(point, batch, True)
        numbers.append(batch.tobytes())
        codecs._forget(tmp_path / codec)
        raw = np.ones_like(batch)
        assert codecs._write_raw(point, tmp_path / "raw") == 10 * 24 * 10 * 2
        codecs._scan(tmp_path / "raw", raw.view(np.uint16))
        numbers.append(raw.tobytes())
    assert len(set(numbers)) == 1


def test_only_codecs_takes_a_model(tmp_path: Path) -> None:
    refusal = said("bench", "intervals", "--model", "tiny:dinov2", status=2)
    assert "'bench intervals' takes no --model and no --shards" in refusal


@pytest.mark.slow
def test_codecs_of_a_model_of_ones_own(tmp_path: Path) -> None:
    assert foresight("prepare", "shapes", "--limit", 12, "--out", tmp_path / "S").returncode == 0
    given = ("--model", "tiny:dinov2", "--shards", tmp_path / "S")
    run = foresight("bench", "codecs", "--quick", "--where", tmp_path, *given, "--json")
    assert run.returncode == 0, run.stderr
    figures = {figure["name"]: figure for figure in json.loads(run.stdout)}
    for codec in CODECS[1:]:
        assert 0.3 < figures[f"bytes of {codec} to raw ones, median over 7 layers"]["value"] < 1
        assert figures[f"time of extract with {codec} to that without a codec"]["value"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["S"]
