"""`foresight study`: from caches to a verdict and its report, the same each time; one sentence for what is wrong."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas
import pytest

from foresight_probes.calibration.planted import PlantedCache
from tests.support import planted_stages
from tests.support.command import foresight, said
from tests.support.planted_study import STUDY, cache, study_file


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return cache(tmp_path_factory.mktemp("planted")).path


@pytest.fixture(scope="module")
def finished(planted: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study, carried out into `out`."""
    root = tmp_path_factory.mktemp("study")
    run = foresight("study", study_file(root), "--cache", planted, "--out", root / "out")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("NOISY: noise disturbs\n")
    assert "counted under noise > 0.9 is not met: 0.8" in run.stdout
    return root


def verdict(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((root / "out" / "verdict.json").read_text())
    return loaded


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def undated(content: dict[str, bytes]) -> dict[str, bytes]:
    return {name: re.sub(rb"written(.{1,12})\d{4}-\d\d-\d\d", rb"\1", text) for name, text in content.items()}


def test_each_kind_of_claim(finished: Path) -> None:
    claims = verdict(finished)["claims"]
    assert {name: claim["status"] for name, claim in claims.items()} == {
        **{"counted.well": "met", "counted.badly": "not met", "noisy.well": "not met", "noisy.badly": "not met"},
        **{"blind.well": "not met", "anywhere.well": "met", "lost.some": "met", "known.high": "not met"},
        **{"fast.well": "not measured", "room.much": "met"},
    }
    assert claims["fast.well"]["why"] == "no cache of clips (ssv2) was given (answers.linear)"
    assert claims["room.much"]["why"] == "2.000 at answers.linear and answers.snr over nothing.linear"


def test_what_follows(finished: Path) -> None:
    found = verdict(finished)
    assert (found["verdict"], found["fallback"], found["soft_failures"]) == ("NOISY", "answers.linear", ["lost.some"])
    assert found["recommended"]["point"] == "answers.linear"
    assert found["recommended"]["better"]["answers.snr"] < 0.001
    assert found["curves"] == {
        "decay": "It is < 0.9 from answers.snr on.",
        "motion": "Nothing was measured along it.",
    }
    assert found["changes"] == ["counted below 0.5: BLIND", "counted under noise above 0.9: CLEAR"]
    assert found["not_measured"].keys() == {"speed (> 0.5)", "people"}


def test_a_score_is_of_the_values_in_the_table(finished: Path) -> None:
    """0.5 R² + 0.5 (1 - error) / 2, and its interval holds it."""
    scores = verdict(finished)["scores"]["knowledge"]
    for point, score in scores.items():
        path = finished / "out" / "runs" / "counts" / "counting" / point / "pooled-linear-seed0.json"
        metrics = json.loads(path.read_text())["metrics"]
        expected = 0.5 * metrics["r2"]["value"] + 0.5 * (1 - metrics["mae"]["value"]) / 2
        assert score["value"] == pytest.approx(expected)
        assert score["low"] <= score["value"] <= score["high"]
        assert score["band"] == "low"


def test_a_finished_study_trains_nothing_and_reports_the_same(finished: Path, planted: str) -> None:
    before = files(finished / "out")
    run = foresight("study", finished / "planted.yaml", "--cache", planted, "--out", finished / "out", "--json")
    assert json.loads(run.stdout)["trained"] == 0
    assert undated(files(finished / "out")) == undated(before)


def test_an_interrupted_study_goes_on(finished: Path, planted: str, tmp_path: Path) -> None:
    """Without two of its results it trains these alone, and reports the same."""
    shutil.copytree(finished / "out", tmp_path / "out")
    for point in ("answers.snr", "nothing.linear"):
        (tmp_path / "out" / "runs" / "counts" / "counting" / point / "pooled-linear-seed0.json").unlink()
    (tmp_path / "out" / "report.html").unlink()
    run = foresight("study", finished / "planted.yaml", "--cache", planted, "--out", tmp_path / "out", "--json")
    assert json.loads(run.stdout)["trained"] == 2
    assert verdict(tmp_path)["claims"] == verdict(finished)["claims"]


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]


def test_the_page_asks_for_nothing_outside_and_its_links_lead_somewhere(finished: Path) -> None:
    page = Links((finished / "out" / "report.html").read_text())
    assert not page.tags & {"script", "img", "link", "iframe"}
    inside = [link for link in page.found if not link.startswith("#")]
    assert any(link.endswith("answers.linear/pooled-linear-seed0.json") for link in inside)
    assert not [link for link in inside if not (finished / "out" / link).is_file()]


def test_numbers_of_sections_lead_to_their_runs(finished: Path) -> None:
    html = (finished / "out" / "report.html").read_text()
    section = html[html.index('<h2 id="section-noise">') :].partition("<h2 id=")[2].partition("<h2 ")[0]
    cells = re.findall(r'<td><a href="([^"]+)" title="([^"]+)">([^<]+)</a></td>', section)
    points = ("answers.snr", "answers.linear", "answers.snr")  # the value, the other one, and the difference
    assert [address for address, _, _ in cells] == [
        f"runs/counts/counting/{own}/pooled-linear-seed0.json" for own in points
    ]
    for address, command, text in cells[:2]:
        value = json.loads((finished / "out" / address).read_text())["metrics"]["r2"]["value"]
        assert text.startswith(f"{value:.3f} (")
        assert "foresight train-probe" in command
    assert "--points answers.snr,answers.linear" in cells[2][1]


def test_the_verdict_stands_before_all_else_in_both_reports(finished: Path) -> None:
    for name in ("report.html", "report.md"):
        text = (finished / "out" / name).read_text()
        order = [text.index(words) for words in ("NOISY", "Why:", "How sure:", "Not measured:", "Criteria", "Runs: ")]
        assert order == sorted(order)
        for words in (
            "version 1",
            "--cache",
            "no cache of clips was given",
            "foresight extract shards/ssv2-validation",
        ):
            assert words in text
    assert "](figures/curve-decay.png)" in text
    assert (finished / "out" / "figures" / "curve-decay.png").is_file()
    assert (finished / "out" / "results.csv").read_text().count("\ncounts,planted-several,counting,") == 4
    # 4 × 4 tokens of 96 channels in bfloat16
    row = "| `answers.snr` | 0.822 (0.763–0.867) | 0 % | 16 | 96 | 3,072 | not measured |"
    assert row in (finished / "out" / "report.md").read_text()
    table = pandas.read_parquet(finished / "out" / "results.parquet")
    same = pandas.read_csv(finished / "out" / "results.csv")
    assert list(table.columns) == list(same.columns)
    assert list(table["r2"]) == pytest.approx(list(same["r2"]), abs=0)


def test_a_dry_run_writes_nothing(planted: str, tmp_path: Path) -> None:
    study_file(tmp_path)
    run = foresight("study", tmp_path / "planted.yaml", "--cache", planted, "--dry-run", "--json")
    (row,) = json.loads(run.stdout)["runs"]
    assert (row["runs"], row["points"], row["finished"], row["pending"]) == ("counts", 3, 0, 16)
    assert "counts: direction is not trained: no sample of the train split has an annotation" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["planted.yaml"]


def test_points_that_the_model_lacks_are_named(planted: str, tmp_path: Path) -> None:
    text = STUDY.replace(
        'points: ["answers.*", nothing.linear]\n    heads', "points: [answers.linear, lists.snr]\n    heads"
    )
    run = foresight("study", study_file(tmp_path, text), "--cache", planted, "--dry-run")
    assert run.returncode == 0
    assert "has no point lists.snr" in run.stderr


def test_another_dataset_is_taken_and_said(planted: str, tmp_path: Path) -> None:
    path = study_file(tmp_path, STUDY.replace("dataset: planted-several", "dataset: coco2017"))
    run = foresight("study", path, "--cache", planted, "--dry-run")
    assert "scenes are 410 images of planted-several, and not of coco2017" in run.stderr
    named = foresight("study", path, "--cache", f"clips={planted}", "--dry-run")
    assert "clips are 410 images of planted-several, and not of ssv2" in named.stderr


def test_a_changed_study_is_said_and_an_edited_run_is_refused(finished: Path, planted: str, tmp_path: Path) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    path = study_file(
        tmp_path, STUDY.replace("version: 1", "version: 2").replace('well: "> 0.9", b', 'well: "> 0.8", b')
    )
    run = foresight("study", path, "--cache", planted, "--out", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    assert "the runs were begun for version 1" in (tmp_path / "out" / "report.md").read_text()
    result = tmp_path / "out" / "runs" / "counts" / "counting" / "answers.snr" / "pooled-linear-seed0.json"
    record = json.loads(result.read_text())
    record["metrics"]["r2"] = {"value": 0.97, "low": 0.95, "high": 0.99}
    result.write_text(json.dumps(record))
    words = said("study", path, "--cache", planted, "--out", tmp_path / "out", status=1)
    assert "r2 of counting, pooled-linear-seed0 on answers.snr is 0.97 in its file" in words
    assert "the file was edited" in words


def test_a_folder_of_another_study_is_refused(finished: Path, planted: str, tmp_path: Path) -> None:
    path = study_file(tmp_path, STUDY.replace("name: planted\n", "name: other\n", 1))
    words = said("study", path, "--cache", planted, "--out", finished / "out", status=1)
    assert "has the runs of the study 'planted', not of 'other'" in words


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("q3",), 2, "unknown study 'q3'; did you mean 'q2'?"),
        (("q2",), 2, "no folder was named"),
        (("q2", "--out", "out"), 2, "no cache was named; q2 is of images (coco2017, val2017), scenes (ade20k"),
        (("q2", "--cache", "nowhere", "--out", "out"), 1, "nowhere"),
        (("show",), 2, "'study show' takes the name of a study behind it"),
        (("list", "q2"), 2, "'study list' takes nothing behind it"),
        (("q2", "c1", "--dry-run"), 2, "'c1' stands behind the study 'q2'; give one study"),
        (("nowhere.yaml", "--dry-run"), 1, "there is no study at nowhere.yaml"),
    ],
)
def test_wrong_words_are_one_sentence(words: tuple[str, ...], status: int, sentence: str) -> None:
    text = said("study", *words, status=status)
    assert sentence in text
    assert text.count("\n") == 1


def test_studies_are_listed_and_shown() -> None:
    listed = foresight("study", "list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["c1", "halp", "latentlens", "pivot1", "q2"]
    shown = foresight("study", "show", "q2").stdout
    assert "boxes before the merger: high > 0.8, fails < 0.7" in shown
    assert "5,000 images of coco2017 (val2017) at 448" in shown
    assert json.loads(foresight("study", "show", "pivot1", "--json").stdout)["claims"]["map.go"] == "> 0.15"


@pytest.mark.parametrize("name", ["c1", "pivot1", "q2"])
def test_the_shipped_studies_plan_what_there_is(name: str, tmp_path: Path) -> None:
    """On a few drawn scenes with two stages cached: what cannot be trained is said, and the rest is counted."""
    planted = PlantedCache(world="several", train=20, validation=8, test=8, rows=4)
    stages = {"vit.pre_merge": "lists.linear", "vit.post_merge": "nothing.linear"}
    cache = planted_stages.write(tmp_path / "cache", planted, stages)
    run = foresight("study", name, "--cache", f"images={cache.path}", "--dry-run", "--folds", "2", "--json")
    assert run.returncode == 0, run.stderr
    rows = {row["runs"]: row for row in json.loads(run.stdout)["runs"]}
    assert {"boxes"} <= rows.keys()
    assert all(row["points"] == 2 and row["pending"] > 0 for row in rows.values())
    assert "no cache of clips was given" in run.stderr
    assert "foresight extract SHARDS --model planted --points vit." in run.stderr
