"""The benchmark's own parts: its cache is one that every task accepts, and its scan reads the bytes that there are."""

from pathlib import Path

import numpy as np
import pytest

from foresight_cache.samples import Grid
from foresight_probes.metrics.coco_average_precision import summary
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.targets import load_targets
from pipelines.bench import intervals, probes
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure, medians, table
from tests.support.command import said


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
