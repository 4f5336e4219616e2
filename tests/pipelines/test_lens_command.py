"""`foresight lens` as its user meets it: an index, words of a cache's tokens, and what is refused before any work."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from tests.support import browser, lenses
from tests.support.command import foresight, said, with_options
from tests.support.peak_memory import peak_memory
from tests.support.preparing import prepare

INDEX = ("--model", "tiny:qwen2_5_vl", "--layers", "1,2", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lens")
    (root / "corpus.txt").write_text("a red disc\na green box\na red box\n")
    run = foresight("lens", "index", root / "corpus.txt", *INDEX, "--out", root / "I", "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert (told["model"], told["phrases"], told["layers"]) == ("tiny:qwen2_5_vl", 3, "1,2")
    prepare("shapes", out=root / "S", limit=3)
    points = "vit.pre_merge,vit.post_merge,llm.layer_02,llm.layer_03@mean,llm.layer_02@text"
    words = ("--model", "tiny:qwen2_5_vl", "--size", 112, "--device", "cpu", "--points", points)
    run = foresight("extract", root / "S", *words, "--out", root / "C")
    assert run.returncode == 0, run.stderr
    return root


def test_words_are_a_table_and_pages(folder: Path, tmp_path: Path) -> None:
    words = ("--index", folder / "I", "--embedding", "--logit", "--top", 2, "--pages", 2, "--out", folder / "out")
    run = foresight("lens", "run", folder / "C", *words, "--json")
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    points = {"vit.post_merge": 3 * 16, "llm.layer_02": 3 * 16, "llm.layer_03@mean": 3, "llm.layer_02@text": None}
    assert {each["point"] for each in seen} == set(points)
    assert {each["lens"] for each in seen} == {"contextual", "embedding", "logit"}
    assert all(each["tokens"] == (points[each["point"]] or each["tokens"]) for each in seen)
    table = pyarrow.parquet.read_table(folder / "out/words.parquet")
    assert table.num_rows == 2 * sum(each["tokens"] for each in seen)
    assert json.loads((folder / "out/lens.json").read_text())["seen"] == seen
    pages = sorted((folder / "out/pages").iterdir())
    assert len(pages) == 2
    with browser.browser(tmp_path) as pipes:
        page = browser.Page(pipes, 1000, 800, dark=False)
        told = page.open(pages[0])
        assert told.errors == []
        assert [request for request in told.requests if not request.startswith("data:")] == [pages[0].as_uri()]
        frame = table.to_pandas()
        own = frame[(frame["sample"] == frame["sample"][0]) & (frame["rank"] == 1)]
        for point, lens in (("vit.post_merge", "contextual"), ("llm.layer_02", "logit")):
            page.evaluate(f"point.value = {point!r}; lens.value = {lens!r}; draw()")
            chosen = own[(own["point"] == point) & (own["lens"] == lens)]
            shown = page.evaluate("[...document.querySelectorAll('.grid .cell')].map(cell => cell.textContent)")
            assert len(shown) == 16
            assert shown == [token.strip() or json.dumps(token) for token in chosen["token"]]
            page.evaluate("document.querySelectorAll('.cell')[5].onmouseenter()")
            assert page.evaluate("where.textContent") == "Row 2, column 2"
            listed = page.evaluate("[...document.querySelectorAll('#list tr')].map(row => row.cells[1].textContent)")
            assert listed[0] == f"{chosen['similarity'].iloc[5]:.3f}"
            assert len(listed) == 2
        page.evaluate("point.value = 'llm.layer_02@text'; draw()")
        assert page.evaluate("document.querySelectorAll('.grid .cell').length") == 0
        assert page.evaluate("document.querySelectorAll('#strip .cell').length") > 1


def test_a_second_run_changes_nothing(folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "I").iterdir()}
    run = foresight("lens", "index", folder / "corpus.txt", *INDEX, "--out", folder / "I")
    assert run.returncode == 0, run.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "I").iterdir()} == before


def test_a_part_is_no_index_yet(folder: Path) -> None:
    words = (folder / "corpus.txt", *INDEX, "--rows-per-shard", 4, "--out", folder / "part")
    assert foresight("lens", "index", *words, "--part", "1/2").returncode == 0
    told = said("lens", "run", folder / "C", "--index", folder / "part", "--out", folder / "never", status=1)
    assert "is half written" in told
    assert not (folder / "never").exists()
    assert foresight("lens", "index", *words).returncode == 0
    assert foresight("lens", "run", folder / "C", "--index", folder / "part", "--out", folder / "o2").returncode == 0


def test_captions_of_a_prepared_set_are_a_corpus(folder: Path) -> None:
    told = said("lens", "index", folder / "S", *INDEX, "--out", folder / "never", status=1)
    assert "holds no phrases: no sample has captions" in told


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--layers", "1,4"], 2, "hidden_states[4] is after the final norm"),
        (["--layers", "one"], 2, "expected numbers such as 1,2,4,8"),
        (["--model", "tiny:dinov2"], 2, "dinov2 has no language model"),
        (["--max-tokens", 4], 1, "corpus.txt, line 1 has 10 tokens, expected 4 at most"),
        (["--skip", 99], 2, "leaves no token of"),
        (["--contexts", 0], 2, "contexts"),
    ],
)
def test_what_is_wrong_with_an_index_is_said_before_it(
    folder: Path, words: list[object], status: int, told: str
) -> None:
    usual = [*INDEX, "--out", folder / "never"]
    assert told in said("lens", "index", folder / "corpus.txt", *with_options(usual, words), status=status)
    assert not (folder / "never").exists()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--points", "vit.pre_merge"], 2, "vit.pre_merge"),
        (["--points", "llm.layer_01"], 2, "llm.layer_01"),
        (["--index", "nowhere"], 1, "holds no index"),
        (["--top", 0], 2, "top"),
    ],
)
def test_what_is_wrong_with_a_lens_is_said_before_it(folder: Path, words: list[object], status: int, told: str) -> None:
    usual = ["--index", folder / "I", "--out", folder / "never"]
    assert told in said("lens", "run", folder / "C", *with_options(usual, words), status=status)
    assert not (folder / "never").exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_index(tmp_path: Path) -> None:
    """An index of 11 MB and one of 110 MB: ten times the shards."""
    draw, width = np.random.default_rng(0), 5376
    lenses.write_cache(tmp_path / "C", {"llm.layer_03": draw.normal(size=(4, 6, width))})
    most = []
    for times in (1, 10):
        vectors = {layer: draw.standard_normal((250 * times, width), np.float32) for layer in (1, 2, 3, 4)}
        lenses.write_index(tmp_path / f"I{times}", vectors, rows_per_shard=250)
        del vectors
        words = ("--index", tmp_path / f"I{times}", "--pages", 0, "--out", tmp_path / "out")
        most.append(peak_memory("lens", "run", tmp_path / "C", *words, "--device", "cpu"))
    assert most[1] < most[0] + 50, most  # half of what the index grew by


def test_words_of_two_indices_are_compared(folder: Path, tmp_path: Path) -> None:
    points = ("--points", "llm.layer_02", "--top", 3, "--pages", 0)
    for name, index in (("one", folder / "I"), ("two", folder / "I")):
        assert (
            foresight("lens", "run", folder / "C", "--index", index, *points, "--out", tmp_path / name).returncode == 0
        )
    run = foresight("lens", "compare", tmp_path / "one", tmp_path / "two", "--json")
    assert run.returncode == 0, run.stderr
    (found,) = json.loads(run.stdout)
    assert found == {"point": "llm.layer_02", "lens": "contextual", "tokens": 48, "same": 1.0, "shared": 1.0}
    assert "same nearest" in foresight("lens", "compare", tmp_path / "one", tmp_path / "two").stdout
    assert "holds no words.parquet" in said("lens", "compare", tmp_path / "one", folder / "C", status=2)
