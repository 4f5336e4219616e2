"""Several caches of the same samples: each finds its place, what they show must be the same, and runs lie apart."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.errors import ManifestError, UsageError
from foresight_cache.format.commits import SampleRow
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Sample
from foresight_cache.writer import CacheWriter
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.studies.joining import Joined, join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.study import Study
from foresight_probes.sweeps.targets import usable_rows
from tests.support import planted, planted_stages
from tests.support.command import foresight, said

STUDY = """\
name: sizes
version: 1
title: Sizes
question: Does the size of the input matter?
model: planted
datasets:
  images:
    dataset: {dataset}
    split: train
    samples: 410
    media: image
    size: {size}
    variants:
      224: {{size: 224}}
      other: {{model: another}}
      merged-2: {{merged: 2}}
runs:
  counts:
    dataset: images
    tasks: counting
    points: [E4, E5]
    heads: pooled-linear
    controls: false
    variants: [224, merged-2]
measures:
  count: {{title: R² of the number of objects, runs: counts, task: counting, metric: r2}}
criteria:
  counted: {{title: counted, measure: count, point: E4, levels: {{well: "> 0.9"}}}}
  small: {{title: counted at 224 px, measure: count@224, point: E4, levels: {{well: "> 0.9"}}}}
sections:
  size: {{kind: quality-by-factor, title: Sizes, measures: count, factor: size, points: E4}}
  merging: {{kind: quality-by-factor, title: Merging, measures: count, factor: merging, points: E4}}
decision:
  - {{branch: GO, when: counted.well, means: all can be counted, next: Count on.}}
  - {{branch: STOP, when: otherwise, means: not all can be counted, next: Stop.}}
"""
LIGHT = STUDY.format(dataset="planted", size="56x84")
"""The study of the light caches that `small` writes."""


def study(text: str = LIGHT) -> Study:
    return parse_study(text, "sizes.yaml")


def small(
    folder: Path,
    size: str = "56x84",
    *,
    samples: int = 10,
    change: Callable[[int, Sample], Sample] = lambda _, sample: sample,
    bad: tuple[int, ...] = (),
    tars: str = "",
    fingerprint: dict[str, Any] | None = None,
    **model: str,
) -> str:
    """Writes ten samples of one point; `change` makes another record of a sample."""
    points = {"vit.block_01": planted.fixed_points()["vit.block_01"]}
    layout = planted.plan(points, samples, **model)
    shards = tuple(replace(own, sha256=tars + own.sha256[len(tars) :]) for own in layout.shards)
    print_of = {**layout.fingerprint, "input": {"size": size}} | (fingerprint or {})
    layout = replace(layout, shards=shards, fingerprint=print_of)
    with CacheWriter(folder, layout) as writer:
        for pending in writer.pending(tuple(points)):
            with writer.shard(pending) as shard:
                rows = []
                for place in range(layout.shards[pending.number].samples):
                    slot = pending.number * planted.SAMPLES_PER_SHARD + place
                    sample = change(slot, planted.sample(slot))
                    if slot in bad:
                        rows.append(SampleRow(sample=sample, status="bad", reason="truncated", grids={}))
                        continue
                    rows.append(
                        SampleRow(sample=sample, status="ok", reason=None, grids=planted.grids(slot, ragged=False))
                    )
                    shard.add(place, "vit.block_01", planted.values(slot, 24, points["vit.block_01"]))
                shard.commit(rows)
    return str(folder)


def test_variants_have_datasets_runs_and_measures_of_their_own() -> None:
    own = study()
    assert list(own.datasets) == ["images", "images.224", "images.other", "images.merged-2"]
    assert [data.size for data in own.datasets.values()] == ["56x84", "224", "56x84", "56x84"]
    assert {name: group.dataset for name, group in own.runs.items()} == {
        "counts": "images",
        "counts@224": "images.224",
        "counts@merged-2": "images.merged-2",
    }
    assert own.runs["counts@224"].points == own.runs["counts"].points
    assert {name: measure.runs for name, measure in own.measures.items()} == {
        "count": "counts",
        "count@224": "counts@224",
        "count@merged-2": "counts@merged-2",
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("variants: [224, merged-2]", "variants: [225]", "images has no variant '225'; its variants: 224, other, mer"),
        ("      224: {size: 224}", "      224: {}", "expected what differs: size, model, merged, prompt or blank"),
        ("      224: {size: 224}", "      224: {sise: 224}", "did you mean 'size'"),
        ("merged-2: {merged: 2}", "merged-2: {merged: 1}", "expected a whole number of at least 2"),
        ("measure: count@224", "measure: count@225", "did you mean 'count@224'"),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, words: str) -> None:
    assert old in LIGHT
    with pytest.raises(ManifestError, match=words) as raised:
        study(LIGHT.replace(old, new))
    line = 1 + next(number for number, text in enumerate(LIGHT.splitlines()) if old in text)
    assert f"line {line}" in str(raised.value)


def paths(joined: Joined) -> dict[str, str]:
    return {name: Path(cache.path).name for name, cache in joined.caches.items()}


def test_each_cache_finds_its_variant_in_any_order(tmp_path: Path) -> None:
    own, at_224 = small(tmp_path / "own"), small(tmp_path / "at-224", "224x224")
    other = small(tmp_path / "other", name="another")
    merged = small(tmp_path / "merged", fingerprint={"tokens": {"merged": 2}})
    wanted = {"images": "own", "images.224": "at-224", "images.other": "other", "images.merged-2": "merged"}
    for order in ([own, at_224, other, merged], [merged, other, at_224, own]):
        assert paths(join(study(), order)) == wanted
    assert paths(join(study(), [at_224])) == {"images": "at-224"}
    assert paths(join(study(), [f"images.224={own}", at_224])) == {"images": "at-224", "images.224": "own"}
    named = join(study(), [f"images.224={own}"])
    assert paths(named) == {"images.224": "own"}
    assert "images.224 is a cache of planted at 56x84, where the study means the same model at 224x224" in named.remarks


def test_a_cache_that_has_no_place_is_refused(tmp_path: Path) -> None:
    own, again = small(tmp_path / "own"), small(tmp_path / "again")
    with pytest.raises(UsageError, match="for which the study sizes has no place left"):
        join(study(), [own, again])
    with pytest.raises(UsageError, match=r"\(images.224\) has the fingerprint of .*own \(images\)"):
        join(study(), [own, f"images.224={again}"])


def _moved(slot: int, sample: Sample) -> Sample:
    return replace(sample, annotations={"objects": []}) if slot in (2, 7, 9) else sample


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"change": _moved}, "annotations differs for 3 of 10 samples, such as planted/train/0002"),
        ({"change": lambda slot, own: replace(own, group="one") if slot else own}, "group differs for 9 of 10 samples"),
        ({"change": lambda _, own: replace(own, split="val")}, "split differs for 10 of 10"),
        ({"change": lambda slot, own: replace(own, id=f"x/{slot // 5}/{slot}")}, "10 are in the first alone, 10 in"),
        ({"samples": 7}, "id differs, 0 are in the first alone, 3 in the second alone and 7 in both"),
        ({"bad": (4,)}, "id differs, 0 are in the first alone, 1 in the second alone and 9 in both"),
        ({"tars": "77"}, "sha256 differs, for 10 of 10 samples, so that their media may differ"),
    ],
)
def test_what_does_not_show_the_same_is_refused_with_field_and_number(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    own, at_224 = small(tmp_path / "own"), small(tmp_path / "at-224", "224x224", **changes)
    with pytest.raises(UsageError) as raised:
        join(study(), [own, at_224])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_shared_samples_alone_are_used_where_that_is_asked_for(tmp_path: Path) -> None:
    own = small(tmp_path / "own", bad=(1,))
    at_224 = small(tmp_path / "at-224", "224x224", samples=7, bad=(4,), tars="77")
    joined = join(study(), [own, at_224], shared=True)
    wanted = [f"planted/train/{slot:04d}" for slot in (0, 2, 3, 5, 6)]
    for cache in joined.caches.values():
        again: Cache = pickle.loads(pickle.dumps(cache))  # noqa: S301 - what was dumped on this line
        for each in (cache, again):
            assert [each.rows[row]["id"] for row in usable_rows(each)] == wanted
            assert (each["vit.block_01"][5] == open_cache(cache.path)["vit.block_01"][5]).all()
    assert (
        "of images, images.224 the 5 samples that all have are used; left out are 4 of images, 1 of images.224"
        in joined.remarks
    )
    moved = small(tmp_path / "moved", "224x224", change=_moved)
    with pytest.raises(UsageError, match="annotations differs for 3 of 9 samples"):
        join(study(), [own, moved], shared=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two caches of the same scenes, the second of which holds what can be counted under noise."""
    root = tmp_path_factory.mktemp("sizes")
    scenes = PlantedCache(world="several", train=150, validation=50, test=120, rows=4)
    plain = {"vit.pre_merge": "answers.linear", "vit.post_merge": "nothing.linear"}
    noisy = {"vit.pre_merge": "answers.snr", "vit.post_merge": "nothing.linear"}
    planted_stages.write(root / "own", scenes, plain, "448x448")
    planted_stages.write(root / "at-224", scenes, noisy, "224x224")
    (root / "sizes.yaml").write_text(STUDY.format(dataset="planted-several", size="448"))
    run = foresight(
        *("study", root / "sizes.yaml", "--cache", root / "at-224", "--cache", root / "own"), "--out", root / "out"
    )
    assert run.returncode == 0, run.stderr
    return root


def test_runs_of_variants_lie_in_folders_of_their_own(finished: Path) -> None:
    claims = json.loads((finished / "out" / "verdict.json").read_text())["claims"]
    assert (claims["counted.well"]["status"], claims["small.well"]["status"]) == ("met", "not met")
    found = {}
    for name in ("counts", "counts@224"):
        path = finished / "out" / "runs" / name / "counting" / "vit.pre_merge" / "pooled-linear-seed0.json"
        found[name] = json.loads(path.read_text())
    assert found["counts"]["split"] == found["counts@224"]["split"]
    assert Path(found["counts@224"]["cache"]["path"]).name == "at-224"
    alone = foresight(
        *("train-probe", finished / "at-224", "--task", "counting", "--points", "E4", "--heads", "pooled-linear"),
        *("--no-controls", "--out", finished / "alone", "--json"),
    )
    rows = {row["point"]: row for row in json.loads(alone.stdout)}
    assert found["counts@224"]["metrics"]["r2"]["value"] == rows["vit.pre_merge"]["r2"]


def test_variants_are_on_the_page_and_those_without_a_cache_are_said(finished: Path) -> None:
    page = (finished / "out" / "report.md").read_text()
    assert "# Runs: counts@224" in page
    assert "no cache of images.merged-2 was given" in page
    assert (
        "foresight merge-tokens caches/planted-several-train --cells 2 --points 'E4,E5' "
        "--out caches/planted-several-train-merged-2"
    ) in page


def test_merged_tokens_have_the_same_mean_and_a_twin_stands_beside_all_runs_of_its_size(
    finished: Path, tmp_path: Path
) -> None:
    """The mean of four means of four tokens is that of all sixteen, but for rounding; the random twin knows nothing."""
    merged = tmp_path / "merged"
    made = foresight("merge-tokens", finished / "own", "--cells", "2", "--points", "E4", "--out", merged)
    assert made.returncode == 0, made.stderr
    scenes = PlantedCache(world="several", train=150, validation=50, test=120, rows=4)
    nothing = {"vit.pre_merge": "nothing.linear", "vit.post_merge": "nothing.linear"}
    twin = planted_stages.write(tmp_path / "twin", scenes, nothing, "448x448", weights="random").path
    shutil.copytree(finished / "out", tmp_path / "out")
    given = [word for place in (finished / "own", finished / "at-224", merged) for word in ("--cache", place)]
    run = foresight("study", finished / "sizes.yaml", *given, "--twin", twin, "--out", tmp_path / "out", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["trained"] == 4  # E4 of the merged cache with its mean predictor, and two of the twin
    runs, name = tmp_path / "out" / "runs", "counting/vit.pre_merge/pooled-linear-seed0.json"
    found = {own: json.loads((runs / own / name).read_text()) for own in ("counts", "counts@merged-2")}
    values = {own: record["metrics"]["r2"]["value"] for own, record in found.items()}
    assert values["counts@merged-2"] == pytest.approx(values["counts"], abs=0.01)
    assert found["counts"]["cache"]["digest"] != found["counts@merged-2"]["cache"]["digest"]
    assert list(found["counts"]["controls"]) == ["mean-predictor", "random-twin"]
    assert found["counts"]["controls"]["random-twin"]["value"] < 0.1
    assert (runs / "counts" / "controls" / "random-twin" / name).is_file()
    assert not (runs / "counts@224" / "controls").exists()
    assert f"foresight merge-tokens CACHE --cells 2 --points vit.post_merge --out {merged}" in run.stderr
    page = (tmp_path / "out" / "report.md").read_text()
    assert "random-twin" in page
    assert f"--twin {twin}" in page
    assert "| vit.pre_merge | 2×2 | pooled-linear | 1.000 (1.000–1.000) | " in page
    assert "| vit.pre_merge | 224x224 | pooled-linear | 0.8" in page
    words = ("study", finished / "sizes.yaml", "--cache", finished / "own", "--dry-run", "--twin")
    assert "is a second twin of 'images'" in said(*words, twin, "--twin", twin, status=2)
    assert "at 224x224, has the samples of none of images at its size" in said(*words, finished / "at-224", status=2)
    assert "has none weights, expected random ones" in said(*words, f"images={finished / 'at-224'}", status=1)


def test_the_command_refuses_in_one_sentence(finished: Path, tmp_path: Path) -> None:
    scenes = PlantedCache(world="several", train=20, validation=5, test=5, rows=4)
    other = planted_stages.write(tmp_path / "few", scenes, {"vit.pre_merge": "nothing.linear"}, "224x224")
    words = said(
        "study", finished / "sizes.yaml", "--cache", finished / "own", "--cache", other.path, "--dry-run", status=2
    )
    assert "have other samples: id differs" in words
    assert "--shared-samples" in words
