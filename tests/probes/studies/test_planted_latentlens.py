"""latentlens on planted words, of which it is known how often they are words of the image: the right branch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foresight_cache import open_cache
from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes.lens.judge_export import export_items
from foresight_probes.lens.picture_mask import shows_picture
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.joining import join
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import carry_out
from pipelines import studies
from tests.support import lenses
from tests.support.command import foresight
from tests.support.planted_words import IMAGE, NOISE, TOKENS, PlantedWords


def interval(world: PlantedWords, folder: Path) -> Interval:
    found = world.carried_out(folder).findings.evidence.reading("over-chance", IMAGE).interval
    assert found
    return found


def check(world: PlantedWords, folder: Path) -> None:
    findings = world.carried_out(folder).findings
    assert findings.verdict.name == ("AT CHANCE" if world.shuffled else "WORDS OF THE IMAGE")
    found = findings.evidence.words["visual"].rates(IMAGE, "contextual")
    assert found
    of_image, of_noise = found.intervals, findings.evidence.reading("over-chance", NOISE).interval
    # Five standard errors of a share of 600 tokens, which is what differs by chance.
    assert of_image["over_chance"].value == pytest.approx(world.over_chance, abs=0.1)
    assert of_image["chance"].value == pytest.approx(world.chance, abs=0.02)
    assert of_noise
    assert of_noise.value == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_branch_follows_from_what_was_planted(tmp_path: Path, shuffled: bool) -> None:
    check(PlantedWords(shuffled=shuffled), tmp_path)


@pytest.mark.study
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shuffled", [False, True])
def test_many_seeds(tmp_path: Path, shuffled: bool, seed: int) -> None:
    check(PlantedWords(shuffled=shuffled, seed=seed), tmp_path)


def test_rates_are_those_of_a_count_by_hand(tmp_path: Path) -> None:
    """The table, read by pandas and counted by sets, against rates and chance."""
    world = PlantedWords(images=12)
    found = world.carried_out(tmp_path).findings.evidence.words["visual"]
    rates = found.rates(IMAGE, "contextual")
    assert rates
    table = pd.read_parquet(tmp_path / "out/words/visual/words.parquet")
    own = table[(table["point"] == IMAGE) & (table["lens"] == "contextual")]
    captions = {
        row["id"]: set(" ".join(row["annotations"]["captions"]).lower().replace(",", " ").replace(".", " ").split())
        for row in open_cache(tmp_path / "cache").rows
    }
    near = {
        sample: [set(words["token"]) for _, words in rows.groupby(["t", "y", "x"])]
        for sample, rows in own.groupby("sample")
    }
    shares = np.array([[np.mean([bool(w & said) for w in near[i]]) for said in captions.values()] for i in captions])
    assert [len(tokens) for tokens in near.values()] == [TOKENS] * 12
    assert rates.intervals["rate"].value == pytest.approx(np.diag(shares).mean())
    assert rates.chance == pytest.approx(shares[~np.eye(12, dtype=bool)].mean())


def test_a_second_run_looks_nothing_up_and_finds_the_same(tmp_path: Path) -> None:
    world = PlantedWords(images=12)
    first = interval(world, tmp_path)
    table = tmp_path / "out/words/visual/words.parquet"
    written = table.stat().st_mtime_ns
    assert interval(world, tmp_path) == first
    assert table.stat().st_mtime_ns == written


def test_a_damaged_table_is_made_again(tmp_path: Path) -> None:
    world = PlantedWords(images=12)
    first = interval(world, tmp_path)
    folder = tmp_path / "out/words/visual"
    for harm in (lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-100])):
        for name in ("words.parquet", "statistics.parquet"):
            harm(folder / name)
            assert interval(world, tmp_path) == first


def test_an_index_without_the_words_of_the_images_decides_nothing(tmp_path: Path) -> None:
    world = PlantedWords(images=60)
    world.write_cache(tmp_path / "cache")
    vectors = {layer: np.random.default_rng(layer).normal(size=(40, 64)) for layer in (1, 2)}
    lenses.write_index(tmp_path / "index", vectors, words=[f"other{n}" for n in range(40)], layers={"of": 3})
    findings = world.carried_out(tmp_path).findings
    assert findings.verdict.name == "UNDECIDED"
    assert {claim.status for claim in findings.claims if claim.name.startswith(("words", "near"))} == {
        "instrument unfit"
    }


def test_a_border_is_no_part_of_the_picture() -> None:
    row: Any = {"height": 100, "width": 200, "grid_pixel": Grid(1, 448, 448), "fit": "letterbox"}
    seen = shows_picture(row, Grid(2, 16, 16)).reshape(2, 16, 16)
    assert seen[:, 4:12].all()
    assert seen.sum() == 2 * 8 * 16
    assert shows_picture({**row, "fit": "stretch"}, Grid(1, 16, 16)).all()


class TestJudge:
    """A judge that knows the plant, and one that says yes to everything."""

    def items(self, folder: Path) -> list[dict[str, object]]:
        words = PlantedWords(images=60).carried_out(folder).findings.evidence.words["visual"]
        export_items(words.items, words.cache, folder / "judge")
        return [json.loads(line) for line in (folder / "judge/items.jsonl").read_text().splitlines()]

    def judged(self, folder: Path, verdicts: dict[str, object]) -> dict[str, Interval]:
        path = folder / "verdicts.jsonl"
        path.write_text("".join(json.dumps({"id": name, **says}) + "\n" for name, says in verdicts.items()))  # type: ignore[dict-item]
        findings = PlantedWords(images=60).carried_out(folder, path).findings
        return dict(findings.evidence.words["visual"].judged[IMAGE, "contextual"].intervals)

    def test_one_that_says_yes_to_all_is_at_chance(self, tmp_path: Path) -> None:
        items = self.items(tmp_path)
        found = self.judged(tmp_path, {str(own["id"]): {"interpretable": True} for own in items})
        assert found["rate"].value == found["chance"].value == 1
        assert found["over_chance"].value == 0

    def test_one_that_reads_captions_finds_the_plant(self, tmp_path: Path) -> None:
        items = self.items(tmp_path)
        key = pd.read_csv(tmp_path / "judge/key.csv").set_index("id")
        said = {
            row["id"]: " ".join(row["annotations"]["captions"]).lower() for row in open_cache(tmp_path / "cache").rows
        }
        verdicts = {
            str(own["id"]): {
                "concrete": [word for word in own["words"] if word in said[key.loc[own["id"], "sample"]]],  # type: ignore[attr-defined]
                "abstract": [],
            }
            for own in items
        }
        found = self.judged(tmp_path, verdicts)  # type: ignore[arg-type]
        assert found["over_chance"].value == pytest.approx(0.4 * 0.95, abs=0.15)

    def test_items_tell_a_judge_nothing(self, tmp_path: Path) -> None:
        items = self.items(tmp_path)
        assert all(set(own) == {"id", "picture", "box", "words", "question"} for own in items)
        assert all((tmp_path / "judge" / str(own["picture"])).exists() for own in items)
        key = pd.read_csv(tmp_path / "judge/key.csv")
        assert (key["sample"] == key["words of"]).mean() == 0.5
        assert key["id"].is_monotonic_increasing

    def test_verdicts_of_other_items_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            ProbeError, match="there are 1 verdicts of items that these words do not have, such as 0123"
        ):
            self.judged(tmp_path, {"0123": {"interpretable": True}})

    @pytest.mark.parametrize("line", ["{}", '{"id": "a", "interpretable": "yes"}', "[]", "{"])
    def test_lines_that_are_none_are_refused(self, tmp_path: Path, line: str) -> None:
        (tmp_path / "verdicts.jsonl").write_text(line)
        with pytest.raises(ProbeError, match=r"verdicts\.jsonl, line 1"):
            PlantedWords(images=12).carried_out(tmp_path, tmp_path / "verdicts.jsonl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, world = tmp_path_factory.mktemp("words"), PlantedWords(images=60)
    world.write_index(root / "index")
    world.write_cache(root / "cache")
    return root


def test_verdicts_of_own_words_alone_say_nothing(tmp_path: Path) -> None:
    world = PlantedWords(images=12)
    (tmp_path / "verdicts.jsonl").write_text("\n")
    findings = world.carried_out(tmp_path, tmp_path / "verdicts.jsonl").findings
    [claim] = [own for own in findings.claims if own.name == "judged.told"]
    assert "not of a token's own words and of another image's both" in claim.why


class TestCommand:
    """`foresight study latentlens` as its user meets it."""

    def test_from_cache_to_report_and_judge(self, folder: Path, tmp_path: Path) -> None:
        words = ("--cache", folder / "cache", "--index", folder / "index", "--out", tmp_path / "out")
        assert "words of 60 samples at llm.embed, llm.layer_01, llm.layer_02, to be looked up" in (
            foresight("study", "latentlens", *words, "--dry-run").stdout
        )
        run = foresight("study", "latentlens", *words, "--export-judge", tmp_path / "judge", "--json")
        assert run.returncode == 0, run.stderr
        told = json.loads(run.stdout)
        assert told["verdict"] == "WORDS OF THE IMAGE"
        assert told["claims"]["embedding.told"]["status"] == "not measured"  # such an index has no vocabulary
        items = len((tmp_path / "judge/items.jsonl").read_text().splitlines())
        assert items == 3 * 2 * 100
        page = (tmp_path / "out/report.html").read_text()
        for text in ("Words of the image, and chance", "Layer of the index that the nearest word is of", "nobody"):
            assert (text in page) == (text != "nobody"), text
        assert (tmp_path / "out/report.pdf").read_bytes()[:4] == b"%PDF"
        assert "kept" in foresight("study", "latentlens", *words, "--dry-run").stdout

    def test_without_an_index_it_says_what_makes_one(self, folder: Path, tmp_path: Path) -> None:
        study = studies.load("latentlens")
        plan = plan_study(study, join(study, [str(folder / "cache")]), tmp_path / "out", Settings())
        carried = carry_out(plan)
        assert carried.findings.verdict.name == "UNDECIDED"
        assert {claim.status for claim in carried.findings.claims} == {"not measured"}
        assert any("foresight lens index PHRASES --model Qwen" in remark for remark in carried.remarks)

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["q2", "--index", "index"], "the study q2 looks up no words"),
            (["latentlens", "--index", "index", "--index", "images=index"], "is a second index for 'images'"),
            (["latentlens", "--index", "nowhere"], "nowhere holds no index"),
            (["latentlens", "--index", "other"], "other is of another model"),
            (["latentlens", "--index", "index", "--dry-run", "--export-judge", "j"], "there is nothing to judge"),
            (["q2", "--export-judge", "j"], "there is nothing to judge, since q2 has no key 'words'"),
            (["q2", "--import-judge", "j"], "since q2 has no key 'words'; leave out --import-judge"),
            (["latentlens", "--index", "index", "--import-judge", "nowhere"], "nowhere cannot be read"),
            (["latentlens", "--demo", "--index", "index"], "so that --index does not go with it"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
    ) -> None:
        monkeypatch.chdir(folder)
        if not (folder / "other").exists():
            lenses.write_index(folder / "other", {1: np.eye(4)}, model={"weights_digest": "2" * 64})
        cache = [] if "--demo" in words else ["--cache", "cache"]
        run = foresight("study", *words, *cache, "--out", tmp_path / "out")
        assert run.returncode in (1, 2)
        assert sentence in run.stderr
        assert "Traceback" not in run.stderr
