"""`foresight compare`: differences, what follows from them, and one sentence for what may not be compared."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_probes.results.result import save_result
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval
from tests.probes.results.test_results import result
from tests.support.command import foresight, said
from tests.support.contents import contents

SHIFTS = {"vit.block_01": 0.0, "vit.block_02": 0.1, "llm.layer_01": 0.002, "pixels": -0.3}
"""What points add to the IoU of each image."""


def write(
    folder: Path, shifts: Mapping[str, float] = SHIFTS, *, samples: int = 90, seeds: int = 1, **changes: Any
) -> Path:
    """Results of one head on points, on the same images in groups of one."""
    generator = np.random.default_rng(0)
    hardness = generator.uniform(0.35, 0.85, samples)
    for order, (point, shift) in enumerate(shifts.items()):
        for seed in range(seeds):
            overlaps = np.clip(hardness + shift + 0.05 * generator.normal(size=samples), 0, 1)
            scores = tuple(
                SampleScore(f"shapes/train/{number}", f"shapes/train/{number}", (float(overlap),))
                for number, overlap in enumerate(overlaps)
            )
            mean = float(overlaps.mean())
            effective = effective_groups(score.group for score in scores)
            split = {**result().split, "test": samples, "groups": samples, "effective_groups": effective}
            body = {
                "metrics": {name: Interval(mean, mean - 0.05, mean + 0.05) for name in ("mean_iou", "share_above_0.5")},
                **{
                    "validation": {"value": 0.5 + shift, "epoch": 3},
                    "point_index": order,
                    "split": split,
                    "seed": seed,
                },
            }
            save_result(result(point=point, scores_source=scores, **(body | changes)), folder)
    return folder


def test_differences_are_those_of_the_means(tmp_path: Path) -> None:
    """The point that validation chooses is what the others are compared with."""
    runs = write(tmp_path / "runs")
    run = foresight("compare", runs, "--task", "boxes", "--out", tmp_path / "out", "--json")
    assert run.returncode == 0, run.stderr
    said_here = json.loads(run.stdout)
    values = {}
    for point in SHIFTS:
        scores = json.loads((runs / "boxes" / point / "mlp-seed0.json").read_text())["metrics"]["mean_iou"]["value"]
        values[point] = scores
    rows = {row["point"]: row for row in said_here["points"]}
    assert rows.keys() == {"vit.block_01", "llm.layer_01", "pixels"}
    for point, row in rows.items():
        assert row["against"] == "vit.block_02"
        assert row["difference"] == pytest.approx(values[point] - values["vit.block_02"])
        assert row["difference_low"] < row["difference"] < row["difference_high"]
        assert row["p_value"] <= row["benjamini_hochberg"] <= row["holm"]
        assert row["samples"] == row["groups"] == 90
    assert all(row["differs"] for row in rows.values())
    assert said_here["sentence"].startswith("vit.block_01, llm.layer_01, pixels read 0.0")
    assert "less mean IoU than vit.block_02 (Holm: p " in said_here["sentence"]


def test_what_is_too_small_to_find_is_said(tmp_path: Path) -> None:
    runs = write(tmp_path / "runs")
    run = foresight("compare", runs, "--task", "boxes", "--out", tmp_path / "out", "--against", "vit.block_01")
    last = run.stdout.splitlines()[-3]
    assert "vit.block_02 reads 0.096 more mean IoU than vit.block_01" in last
    assert "pixels reads 0.295 less" in last
    assert "no difference from vit.block_01 is found at llm.layer_01: a difference below 0.0" in last
    with (tmp_path / "out" / "comparison.csv").open(newline="") as file:
        rows = {row["point"]: row for row in csv.DictReader(file)}
    limit = float(last.split("a difference below ")[1].split()[0])
    assert limit == pytest.approx(float(rows["llm.layer_01"]["detectable"]), abs=5e-4)
    assert 0.01 < limit < 0.04  # 0.05 · √2 of noise in 90 samples: 2.8 · 0.0075


def test_few_groups_decide_nothing(tmp_path: Path) -> None:
    runs = write(tmp_path / "runs", samples=20)
    run = foresight("compare", runs, "--task", "boxes", "--out", tmp_path / "out", "--json")
    found = json.loads(run.stdout)
    assert found["sentence"].startswith("Undecided: the 20 test samples are worth 20 groups, and a verdict needs")
    assert "about 50, as of about " in found["sentence"]
    assert not any(row["differs"] for row in found["points"])
    assert all(row["too_few_groups"] for row in found["points"])
    assert ">too few groups<" in (tmp_path / "out" / "comparison.html").read_text()


def test_another_folder(tmp_path: Path) -> None:
    """Of the same images: each point is compared with itself there. Equal noise on both sides cancels out."""
    one, other = write(tmp_path / "one"), write(tmp_path / "other", dict.fromkeys(SHIFTS, 0.0))
    run = foresight("compare", one, other, "--task", "boxes", "--out", tmp_path / "out", "--json")
    rows = {row["point"]: row for row in json.loads(run.stdout)["points"]}
    assert rows.keys() == SHIFTS.keys()
    assert [name for name, row in rows.items() if row["differs"]] == ["vit.block_02", "llm.layer_01", "pixels"]
    assert rows["vit.block_01"]["p_value"] == 1


def test_seeds_are_compared_with_themselves_and_widen_the_interval(tmp_path: Path) -> None:
    found = [
        json.loads(foresight("compare", runs, "--task", "boxes", "--out", tmp_path / "out", "--json").stdout)["points"]
        for runs in (write(tmp_path / "one"), write(tmp_path / "three", seeds=3))
    ]
    assert {row["seeds"] for row in found[1]} == {3}
    assert {row["test"] for row in found[1]} == {"bootstrap and seeds"}


def test_seeds_that_not_all_points_have_are_left_out(tmp_path: Path) -> None:
    runs = write(write(tmp_path / "runs", {"vit.block_01": 0.0}, seeds=3), {"vit.block_02": 0.1})
    run = foresight("compare", runs, "--task", "boxes", "--out", tmp_path / "out", "--json")
    (row,) = json.loads(run.stdout)["points"]
    own, other = (
        json.loads((runs / "boxes" / point / "mlp-seed0.json").read_text())["metrics"]["mean_iou"]["value"]
        for point in ("vit.block_01", "vit.block_02")
    )
    assert (row["seeds"], row["value"]) == (1, own)
    assert row["difference"] == pytest.approx(own - other)


def test_what_was_not_measured_is_in_the_way_of_nothing(tmp_path: Path) -> None:
    """Scores of pictures have columns for what could not be measured."""
    for number, point in enumerate(("vit.block_01", "vit.block_02")):
        scores = tuple(
            SampleScore(f"shapes/train/{n}", f"shapes/train/{n}", (20.0 + number + n % 7, 0.5, nan, 0.4, nan))
            for n, nan in enumerate([float("nan")] * 60)
        )
        body = {
            **{"task": "reconstruction", "primary": "psnr", "metrics": {"psnr": Interval(23.0, 22.0, 24.0)}},
            **{"not_measured": {"lpips": "no weights", "gram_distance": "no weights"}, "point": point},
        }
        save_result(result(scores_source=scores, **body), tmp_path / "runs")
    run = foresight("compare", tmp_path / "runs", "--task", "reconstruction", "--out", tmp_path / "out", "--json")
    assert run.returncode == 0, run.stderr
    assert abs(json.loads(run.stdout)["points"][0]["difference"]) == pytest.approx(1)


def test_targets_that_are_a_points_own_features_do_not_change_places(tmp_path: Path) -> None:
    """A wide point's sums of squares would outweigh a narrow one's."""
    generator = np.random.default_rng(0)
    for point, width in (("vit.block_01", 64), ("llm.layer_01", 3584)):
        total = width * generator.uniform(0.9, 1.1, 60)
        scores = tuple(
            SampleScore(f"clips/{n}", f"clips/{n}", (0.4 * own, own, 0.7, 0.9 * own, 0.2, 3.0))
            for n, own in enumerate(total)
        )
        body = {"task": "next-frame", "primary": "r2", "metrics": {"r2": Interval(0.6, 0.5, 0.7)}, "point": point}
        save_result(result(scores_source=scores, **body), tmp_path / "runs")
    run = foresight("compare", tmp_path / "runs", "--task", "next-frame", "--out", tmp_path / "out", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["points"][0]["test"] == "bootstrap"


def test_answers_that_are_the_same(tmp_path: Path) -> None:
    """As those of heads in whose place the mean predictor stands."""
    for point in ("vit.block_01", "vit.block_02"):
        scores = tuple(SampleScore(f"{n}", f"{n}", (0.1 + n % 7 / 10,)) for n in range(80))
        save_result(result(point=point, scores_source=scores), tmp_path / "runs")
    run = foresight("compare", tmp_path / "runs", "--task", "boxes", "--out", tmp_path / "out")
    assert run.stdout.splitlines()[-3].endswith("the answers are the same.")


def test_files(tmp_path: Path) -> None:
    runs = write(tmp_path / "runs")
    for out in (tmp_path / "out", tmp_path / "again"):
        assert foresight("compare", runs, "--task", "boxes", "--out", out).returncode == 0
    assert {file.name for file in out.iterdir()} == {f"comparison.{kind}" for kind in ("csv", "html", "png", "svg")}
    for file in out.iterdir():
        assert file.read_bytes() == (tmp_path / "out" / file.name).read_bytes()
    with Image.open(out / "comparison.png") as image:
        assert len(set(image.convert("RGB").resize((60, 60)).getdata())) > 10


def test_the_page_lists_its_contents(tmp_path: Path) -> None:
    foresight("compare", write(tmp_path / "runs"), "--task", "boxes", "--out", tmp_path / "out")
    assert contents(tmp_path / "out" / "comparison.html") == {
        "Differences": "differences",
        "Every point": "points",
        "Where this comes from": "provenance",
    }


def test_what_may_not_be_compared(tmp_path: Path) -> None:
    def words(name: str, **changes: Any) -> str:
        folder = write(write(tmp_path / name, {"vit.block_01": 0.0}), {"vit.block_02": 0.1}, **changes)
        return said("compare", folder, "--task", "boxes", "--out", tmp_path / "out", status=1)

    split = {**result().split, "digest": "7" * 64}
    assert "have another split (222222222222 and 777777777777)" in words("split", split=split).replace(
        "777777777777 and 222222222222", "222222222222 and 777777777777"
    )
    assert "have another recipe (epochs 3" in words("recipe", options={**result().options, "epochs": 31})
    assert "other test samples" in words("samples", samples=80)
    assert "has the seeds 0 and mlp-seed4 on vit.block_02 4, none in common" in words("seeds", seed=4)
    cache = {**result().cache, "digest": "9" * 64}
    assert "has results of several caches for boxes" in words("caches", cache=cache)
    assert not (tmp_path / "out").exists()


def test_names_that_are_not_there(tmp_path: Path) -> None:
    runs = write(tmp_path / "runs")
    for words in (["--task", "boxs"], ["--task", "boxes", "--head", "mpl"], ["--task", "boxes", "--metric", "iou"]):
        assert "did you mean" in said("compare", runs, *words, "--out", tmp_path / "out", status=2)
    assert "unknown point 'E4'" in said(
        "compare", runs, "--task", "boxes", "--against", "E4", "--out", tmp_path / "out", status=2
    )
    assert "--against names a point of RUNS" in said(
        "compare", runs, runs, "--task", "boxes", "--against", "pixels", "--out", tmp_path / "out", status=2
    )
    save_result(result(point="mean-predictor", task="counting"), tmp_path / "runs")
    assert "has the mean predictor alone for counting" in said(
        "compare", runs, "--task", "counting", "--out", tmp_path / "out", status=1
    )
    elsewhere = write(tmp_path / "elsewhere", {"vit.block_07": 0.0})
    assert "no point of vit.block_01, vit.block_02, llm.layer_01, pixels has results at" in said(
        "compare", runs, elsewhere, "--task", "boxes", "--out", tmp_path / "out", status=1
    )
    alone = write(tmp_path / "alone", {"vit.block_01": 0.0})
    assert "alone; a comparison needs two points" in said(
        "compare", alone, "--task", "boxes", "--out", tmp_path / "out", status=1
    )


def moved(folder: Path, first: int, last: int, lift: float = 0.0, **changes: Any) -> Path:
    """Results on images `first` to `last`, each with a value of its own, and `lift` more."""
    for point in ("vit.block_01", "vit.block_02"):
        scores = tuple(
            SampleScore(f"shapes/train/{n}", f"shapes/train/{n // 2}", (0.3 + (n * 7 % 11) / 20 + lift * (n % 3),))
            for n in range(first, last)
        )
        effective = effective_groups(score.group for score in scores)
        split = {**result().split, "test": len(scores), "effective_groups": effective, "digest": f"{first}-{last}"}
        mean = float(np.mean([score.scores[0] for score in scores]))
        metrics = {"mean_iou": Interval(mean, mean - 0.1, mean + 0.1)}
        save_result(
            result(**{"point": point, "scores_source": scores, "split": split, "metrics": metrics, **changes}), folder
        )
    return folder


def test_samples_are_paired_by_id_and_those_of_one_alone_are_counted(tmp_path: Path) -> None:
    """The difference is the mean over shared ids alone, and the interval that of numpy's bootstrap of groups."""
    one = moved(tmp_path / "one", 0, 200, 0.05)
    other = moved(tmp_path / "other", 40, 260, cache={**result().cache, "data": "5" * 64})
    run = foresight("compare", one, other, "--task", "boxes", "--out", tmp_path / "out", "--json")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    row = found["points"][0]
    differences = np.array([0.05 * (n % 3) for n in range(40, 200)])
    assert row["difference"] == pytest.approx(differences.mean())
    assert (row["samples"], row["groups"]) == (160, 80)
    by_group = differences.reshape(80, 2).sum(1)
    chosen = np.random.default_rng(1).integers(80, size=(4000, 80))
    deviation = (by_group[chosen].sum(1) / 160).std()
    assert (row["difference_high"] - row["difference_low"]) / 2 == pytest.approx(1.99 * deviation, rel=0.1)
    assert found["paired"].startswith(
        "Paired by id on the 160 test samples that both have; left out are 40 of the first alone and 60 of the second"
    )
    assert found["paired"] in (tmp_path / "out" / "comparison.html").read_text()
    elsewhere = moved(tmp_path / "elsewhere", 300, 400)
    assert "have no test sample in common" in said(
        "compare", one, elsewhere, "--task", "boxes", "--out", tmp_path / "out", status=1
    )


def test_other_fingerprints_are_compared_where_that_is_asked_for(tmp_path: Path) -> None:
    own = result().cache
    made = {"digest": "9" * 64, "model": {**own["model"], "name": "another"}, "fingerprint": {"input": {"size": "1x1"}}}
    one = moved(tmp_path / "one", 0, 120, cache={**own, "fingerprint": {"input": {"size": "2x2"}}})
    other = moved(tmp_path / "other", 0, 120, 0.1, cache={**own, **made})
    words = ("compare", one, other, "--task", "boxes", "--out", tmp_path / "out")
    refused = said(*words, status=1)
    assert "differ in input.size (2x2 and 1x1), model.name (" in refused
    assert "give --across" in refused
    run = foresight(*words, "--across", "--json")
    found = json.loads(run.stdout)
    assert found["points"][0]["difference"] == pytest.approx(-0.1)
    assert (
        f"Their caches differ in input.size (2x2 and 1x1), model.name ({own['model']['name']} and another)."
        in (found["paired"])
    )
    assert "--across is for two folders" in said(*words[:2], *words[3:], "--across", status=2)
    unsaid = moved(tmp_path / "unsaid", 0, 120, cache={**own, "digest": "8" * 64})
    plain = moved(tmp_path / "plain", 0, 120)
    assert "differ in what the results do not say of them (fingerprints " in said(
        "compare", plain, unsaid, "--task", "boxes", "--out", tmp_path / "out", status=1
    )


def test_folders_of_studies_are_those_of_their_runs(tmp_path: Path) -> None:
    for name, lift in (("one", 0.1), ("other", 0.0)):
        moved(tmp_path / name / "runs" / "objects", 0, 120, lift)
        (tmp_path / name / "study.json").write_text("{}")
    words = ("--task", "boxes", "--out", tmp_path / "out")
    run = foresight("compare", tmp_path / "one", tmp_path / "other", *words, "--json")
    assert json.loads(run.stdout)["points"][0]["difference"] == pytest.approx(0.1)
    moved(tmp_path / "one" / "runs" / "objects@224", 0, 120)
    several = said("compare", tmp_path / "one", tmp_path / "other", *words, status=1)
    assert f"name one: {tmp_path}/one/runs/objects, {tmp_path}/one/runs/objects@224" in several
    run = foresight("compare", tmp_path / "one" / "runs" / "objects@224", tmp_path / "other", *words, "--json")
    assert json.loads(run.stdout)["points"][0]["difference"] == pytest.approx(0)
    assert "has no group of runs with counting" in said(
        "compare", tmp_path / "one", "--task", "counting", "--out", tmp_path / "out", status=1
    )
