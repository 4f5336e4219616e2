"""`foresight measure`: a page and a table that say the same, and one sentence for what is wrong."""

import csv
import json
from pathlib import Path

import pytest

from foresight_probes.studies import sections, without_study
from foresight_probes.studies.sections import knn_segmentation
from tests.support import worlds
from tests.support.command import foresight, said


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("measure") / "C"
    worlds.write_pictures(root, 40, dense=True)
    return root


def test_page_table_and_json_say_the_same(cache: Path, tmp_path: Path) -> None:
    words = ["--measures", "depth-curves,knn-segmentation", "--samples", 10, "--json"]
    run = foresight("measure", cache, *words, "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    printed = json.loads(run.stdout)["measures"]
    html = (tmp_path / "measures.html").read_text()
    with (tmp_path / "measures.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["measure"] for line in lines} == {"depth-curves", "knn-segmentation"}
    numbers = 0
    for line in lines:
        cell = printed[line["measure"]]["tables"][int(line["table"])][int(line["row"])][line["column"]]
        if isinstance(cell, dict):
            assert [float(line[end]) for end in ("value", "low", "high")] == [cell["value"], cell["low"], cell["high"]]
            numbers += 1
        else:
            assert line["value"] == str(cell)
    assert numbers > 20
    first = printed["depth-curves"]["tables"][0][0]["median norm"]
    assert f"{first['value']:.3f} ({first['low']:.3f}–{first['high']:.3f})" in html
    assert "Curves over depth" in html
    assert "never trained" in html, "random weights"
    assert (tmp_path / "figures" / "depth-curves-1.png").exists()


def test_the_same_cache_gives_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        run = foresight("measure", cache, "--measures", "depth-curves", "--samples", 4, "--out", tmp_path / "out")
        assert run.returncode == 0
        files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
        found.append({path.name: path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert len(found[0]) > 10


def test_what_cannot_be_measured_says_why(cache: Path, tmp_path: Path) -> None:
    """A cache of pictures has no masks of clips, and the rest is measured."""
    words = ["--measures", "propagation,depth-curves", "--samples", 4, "--out", tmp_path]
    run = foresight("measure", cache, *words)
    assert run.returncode == 0
    assert "propagation is not measured" in run.stderr
    assert "no clip whose first frame has masks of objects" in (tmp_path / "measures.html").read_text()
    alone = said("measure", cache, "--measures", "propagation", "--out", tmp_path, status=1)
    assert "nothing could be measured" in alone


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--measures", "depth-curve"], "did you mean 'depth-curves'"),
        (["--measures", "connector-loss"], "name these with --against"),
        (["--measures", "differences"], "unknown measure 'differences'"),
        (["--points", "vit.block_1"], "did you mean 'vit.block_01'"),
        (["--measures", "connector-loss", "--against", "vit.block_7"], "vit.block_7"),
    ],
)
def test_mistakes_are_one_sentence(cache: Path, tmp_path: Path, words: list[str], told: str) -> None:
    assert told in said("measure", cache, *words, "--out", tmp_path, status=2)


def test_a_folder_that_cannot_be_written_is_said(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ["--measures", "depth-curves", "--samples", 4, "--out", tmp_path / "file" / "out"]
    assert "cannot be written" in said("measure", cache, *words, status=2)


def test_every_kind_is_named_in_the_help() -> None:
    helped = " ".join(foresight("measure", "--help").stdout.replace("│", " ").split())
    for name in without_study.kinds():
        assert name in helped
        assert "datasets" in sections.load(name).needs
    assert knn_segmentation.SHOTS[0] == 1
