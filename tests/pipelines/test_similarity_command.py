"""`foresight similarity`: a table, a heat map and a page that say the same, and one sentence for what is wrong."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foresight_cache.format.layout import PointLayout
from foresight_cache.reader import open_cache
from foresight_probes.similarity.comparison import PointComparison
from tests.support import planted
from tests.support.command import foresight, said
from tests.support.contents import contents

POINTS = ["pixels", "vit.block_01", "llm.layer_01"]
FILES = {
    *(f"similarity.{kind}" for kind in ("csv", "html", "png", "svg")),
    *("similarity_pairs.csv", "mutual_knn.png", "mutual_knn.svg"),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("similarity") / "C"
    planted.write(root, planted.plan(planted.fixed_points()))
    return root


@pytest.fixture
def constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same samples with one point whose features do not vary."""
    values = planted.values

    def constant_at_one_point(slot: int, tokens: int, layout: PointLayout) -> np.ndarray:
        own = values(slot, tokens, layout)
        return np.full_like(own, 7) if layout.width == 12 else own

    monkeypatch.setattr(planted, "values", constant_at_one_point)
    planted.write(tmp_path / "constant", planted.plan(planted.fixed_points()))
    return tmp_path / "constant"


def table(out: Path) -> list[list[str]]:
    with (out / "similarity.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_files_and_their_numbers(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    run = foresight("similarity", cache, "--points", "vit.*, llm.*,pixels", "--out", out)
    assert (run.returncode, run.stdout) == (0, f"{out / 'similarity.html'}\n")
    assert {path.name for path in out.iterdir()} == FILES
    result = PointComparison(open_cache(cache)).run()
    expected = result.cka
    head, *rows = table(out)
    assert head == ["point", *POINTS]
    assert [row[0] for row in rows] == POINTS
    assert [[float(value) for value in row[1:]] for row in rows] == [list(row) for row in expected], "to the last digit"
    html = (out / "similarity.html").read_text()
    assert html.startswith("<!doctype html>")
    for tested, shown in (
        (result.tested_cka, expected),
        (result.mutual_knn, result.mutual_knn and result.mutual_knn.values),
    ):
        assert tested is not None
        assert shown is not None
        texts = [[f"{value:.3f}" for value in row] for row in shown]
        for name, row, p_values in zip(POINTS, texts, tested.p_values, strict=True):
            struck = [f"<s>{text}</s>" if p > 0.05 else text for text, p in zip(row, p_values, strict=True)]
            cells = "".join(f'<td class="n">{text}</td>' for text in struck)
            assert f"<td><code>{name}</code></td>{cells}</tr>" in html
    assert "<s>" in html, "unrelated noise"


def test_pairs_stand_beside_what_chance_makes(cache: Path, tmp_path: Path) -> None:
    words = ["--points", "vit.block_01,llm.layer_01", "--of", "means", "--json"]
    printed = json.loads(foresight("similarity", cache, *words, "--out", tmp_path).stdout)
    with (tmp_path / "similarity_pairs.csv").open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert (pair["point"], pair["other"]) == ("vit.block_01", "llm.layer_01")
    assert float(pair["cka"]) == printed["cka"][0][1]
    parts = {"": "values", "_by_chance": "chance", "_threshold": "threshold", "_calibrated": "calibrated"}
    parts |= {"_p_value": "p_values", "_corrected_p_value": "corrected"}
    html = (tmp_path / "similarity.html").read_text()
    for name in ("tested_cka", "debiased_cka", "mutual_knn"):
        for end, part in parts.items():
            assert float(pair[name + end]) == printed[name][part][0][1]
        numbers = [*(["cka"] if name == "tested_cka" else []), *(name + end for end in parts)]
        cells = "".join(f'<td class="n">{float(pair[number]):.3f}</td>' for number in numbers)
        assert f"<td><code>vit.block_01</code></td><td><code>llm.layer_01</code></td>{cells}</tr>" in html
    assert printed["tested_cka"]["p_values"][0][1] > 0.05
    assert "10 samples, one of each group, were exchanged 199 times" in html
    assert "the 4 nearest samples of a sample" in html


def test_the_page_lists_its_contents(cache: Path, tmp_path: Path) -> None:
    foresight("similarity", cache, "--points", "vit.block_01,llm.layer_01", "--out", tmp_path)
    assert contents(tmp_path / "similarity.html") == {
        "Linear CKA": "cka",
        "Common neighbours": "neighbours",
        "Against chance": "chance",
        "Where this comes from": "provenance",
    }


def test_the_page_stands_alone_and_says_what_it_shows(cache: Path, tmp_path: Path) -> None:
    foresight("similarity", cache, "--out", tmp_path)
    text = (tmp_path / "similarity.html").read_text()
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Tags().feed(text)
    assert {tag for tag, _ in tags} & {"script", "img", "link", "iframe"} == set()
    assert [value for _, each in tags for name, value in each.items() if name == "src"] == []
    assert "The weights of this model are random" in text
    assert "10 samples of planted, 240 tokens" in text
    assert "Unrelated noise of as many channels and rows would show up to" in text
    assert str(cache) in text


def test_the_figure_has_points_values_and_title(cache: Path, tmp_path: Path) -> None:
    foresight("similarity", cache, "--of", "means", "--out", tmp_path)
    svg = (tmp_path / "similarity.svg").read_text()
    ElementTree.fromstring(svg)  # noqa: S314 - made above
    labels = re.findall(r"<!-- (.*?) -->", svg)
    assert [label for label in labels if label in POINTS] == 2 * POINTS
    values = [f"{float(value):.2f}" for row in table(tmp_path)[1:] for value in row[1:]]
    assert [label for label in labels if re.fullmatch(r"\d\.\d\d", label)][: len(values)] == values
    assert {"Similarity of points of planted", "10 samples of planted, means over tokens", "linear CKA"} <= set(labels)
    picture = np.asarray(Image.open(tmp_path / "similarity.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_the_same_cache_gives_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        foresight("similarity", cache, "--out", tmp_path / name)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in FILES)


def test_features_that_do_not_vary(constant: Path, tmp_path: Path) -> None:
    run = foresight("similarity", constant, "--out", tmp_path, "--json")
    assert run.returncode == 0
    said = [line for line in run.stderr.splitlines() if not line.startswith("{")]
    assert said == ["llm.layer_01: similarity is not defined, its features do not vary or are not finite"]
    printed = json.loads(run.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (printed["points"], printed["undefined"]) == (POINTS, ["llm.layer_01"])
    assert [row[2] for row in printed["cka"]] == printed["cka"][2] == [None, None, None]
    assert [row[3] for row in table(tmp_path)[1:]] == table(tmp_path)[3][1:] == ["", "", ""]
    assert "do not vary or are not finite: llm.layer_01." in (tmp_path / "similarity.html").read_text()


def test_another_cache(cache: Path, constant: Path, tmp_path: Path) -> None:
    words = ["--points", "llm.layer_01,vit.block_01", "--other-points", "vit.*", "--json"]
    run = foresight("similarity", cache, "--other", constant, "--out", tmp_path, *words)
    printed = json.loads(run.stdout)
    assert (printed["points"], printed["columns"]) == (["vit.block_01", "llm.layer_01"], ["vit.block_01"])
    assert printed["cka"][0] == [pytest.approx(1)]
    assert printed["caches"] == [str(cache), str(constant)]
    assert [row[0] for row in table(tmp_path)] == ["point", "vit.block_01", "llm.layer_01"]


def test_many_points_have_a_figure_of_bounded_size(tmp_path: Path) -> None:
    from foresight_probes.report.figures.heat_map import draw

    names = [f"llm.layer_{number:02d}" for number in range(1, 61)]
    values = [[1 - abs(row - column) / 60 for column in range(60)] for row in range(60)]
    options = {"title": ["T"], "meaning": "linear CKA", "axes_names": ("", ""), "stem": tmp_path / "many"}
    svg = draw(values, rows=names, columns=names, **options)  # type: ignore[arg-type]
    assert Image.open(tmp_path / "many.png").width < 2800
    assert "<!-- 0.50 -->" in svg, "of the scale"
    assert "<!-- 0.92 -->" not in svg


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["--points", "vit.block_01,llm.layer_0"], 2, "did you mean .*'llm.layer_01'"),
        (["--points", "vit.block_01"], 2, "vit.block_01 alone was named; name at least two points, or another cache"),
        (["--points", "pixels,,vit.block_01"], 2, "--points is 'pixels,,vit.block_01', which has an empty element"),
        (["--points", ""], 2, "--points is empty"),
        (["--points", "pixels, pixels"], 2, "pixels alone was named"),
        (["--of", "pairs"], 2, "Invalid value for '--of'"),
        (["--other", "nowhere"], 1, "nowhere holds no cache"),
        (["--other-points", "pixels"], 2, "with --other-points, but no cache with --other"),
    ],
)
def test_wrong_words(cache: Path, tmp_path: Path, words: list[str], status: int, sentence: str) -> None:
    out = tmp_path / "out"
    assert re.search(sentence, said("similarity", cache, *words, "--out", out, status=status))
    assert not out.exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PointComparison, "run", lambda *_: pytest.fail("it was begun"))
    (tmp_path / "file").write_text("")
    sentence = said("similarity", cache, "--out", tmp_path / "file" / "deeper", status=2)
    assert (
        sentence == f"foresight: --out {tmp_path}/file/deeper cannot be written: Not a directory; name another folder\n"
    )
