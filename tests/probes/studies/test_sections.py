"""Sections of studies: what they show equals what runs say, and what is drawn is whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foresight_cache.errors import ManifestError
from foresight_probes.report.run_links import RunLinks
from foresight_probes.report.section_parts import contact_sheet, drawn
from foresight_probes.results.result import load_result, save_result
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Lines, Panel, Picture, Pictures, Scatter, Series, Shown, Table, of_runs
from tests.probes.results.test_results import result
from tests.support.planted_study import STUDY


def test_every_kind_says_what_it_needs_of_known_fields() -> None:
    from foresight_probes.studies.study import SectionRequest

    known = set(SectionRequest.__dataclass_fields__)
    for name in sections.names():
        assert set(sections.load(name).needs) | set(sections.load(name).takes) <= known


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("kind: differences, title: What", "kind: diferences, title: What", "did you mean 'differences'"),
        (
            "measures: count, points: answers.snr, ag",
            "measures: counts, points: answers.snr, ag",
            "did you mean 'count'",
        ),
        ("title: What noise takes, ", "", "'title' is missing"),
        (", against: answers.linear}\n  motion", "}\n  motion", "'against' is missing"),
        ("title: What noise takes, ", "title: What noise takes, samples: 3, ", "unknown key 'samples'"),
    ],
)
def test_mistakes_are_named_with_their_line(old: str, new: str, words: str) -> None:
    assert old in STUDY
    with pytest.raises(ManifestError, match=words) as raised:
        parse_study(STUDY.replace(old, new), "mine.yaml")
    line = 1 + STUDY.splitlines().index(next(text for text in STUDY.splitlines() if text.startswith("  noise:")))
    if old.startswith("kind"):
        assert f"mine.yaml, line {line}" in str(raised.value) or f"mine.yaml:{line}" in str(raised.value)


def test_parts_are_drawn_as_text_files_and_pictures(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 200
    parts = (
        Table(columns=("a", "b"), rows=(("x", 1.0), ("y", None))),
        Lines(
            title="l",
            across="x",
            up="y",
            series=(Series(name="s", places=(1.0, 2.0), values=(Interval(1, 0, 2), 3.0)),),
        ),
        Scatter(title="s", panels=(Panel(title="p", places=np.eye(2), classes=np.array([0, 1]), names=("u", "v")),)),
        Pictures(title="g", rows={"row": (Picture(pixels=red, caption="red"),)}),
    )
    [section] = drawn([Shown(name="n", title="t", parts=parts)], "figures", RunLinks(tmp_path))
    table, line, points, pictures = section.parts
    assert [[cell.text for cell in row] for row in table.rows] == [["x", "1.000"], ["y", ""]]
    assert not table.is_linked
    assert table.numbers == (False, True)
    assert line.svg.startswith("<svg")
    assert (tmp_path / line.file).exists()
    assert (tmp_path / points.file).exists()
    assert np.array_equal(np.array(Image.open(tmp_path / pictures.file))[:4, :6], red)
    assert pictures.pictures["row"][0].source.startswith("data:image/webp;base64,")


def test_numbers_of_runs_lead_to_their_files_and_have_their_commands(tmp_path: Path) -> None:
    kept = load_result(save_result(result(), tmp_path / "runs"))
    other = load_result(save_result(result(point="vit.block_02", identity="2" * 64), tmp_path / "runs"))
    derived = replace(kept, scores_source=(SampleScore("a", "a", (1.0,)),))
    unknown = replace(derived, identity="3" * 64)
    value = Interval(0.5, 0.25, 0.75)
    row = (of_runs("words", kept), of_runs(value, kept), of_runs(3, derived), of_runs(value, other, kept))
    table = Table(columns=tuple("abcdef"), rows=((*row, of_runs(value, unknown), of_runs(None, kept)),))
    assert table.values == (("words", value, 3, value, value, None),)
    links = RunLinks(tmp_path / "page", {own.identity: own for own in (kept, other)})
    [section] = drawn([Shown(name="n", title="t", parts=(table,))], "figures", links)
    (words, own, counted, difference, lost, nothing) = section.parts[0].rows[0]
    address = "../runs/boxes/vit.block_01/mlp-seed0.json"
    assert (words.text, words.address, nothing.text, nothing.address) == ("words", "", "", "")
    assert (own.text, own.address) == ("0.500 (0.250–0.750)", address)
    assert own.command.startswith("foresight train-probe caches/demo --task boxes --points vit.block_01 --heads mlp ")
    assert own.command.endswith(f"--out {tmp_path / 'runs'}")
    assert counted == replace(own, text="3"), "scores that are made of a run's predictions have its file no more"
    assert difference.address == address.replace("01", "02")
    assert "--points vit.block_02,vit.block_01" in difference.command
    assert lost.address == ""
    assert section.parts[0].is_linked
    assert section.parts[0].numbers == (False, False, True, False, False, True)


def test_a_contact_sheet_holds_every_picture() -> None:
    pictures = [Picture(pixels=np.full((3, 2, 3), level, np.uint8)) for level in (10, 20, 30)]
    sheet = contact_sheet(Pictures(title="", rows={"a": tuple(pictures[:2]), "b": tuple(pictures[2:])}))
    assert [int((sheet == level).all(2).sum()) for level in (10, 20, 30)] == [6, 6, 6]


def test_a_table_without_runs_has_its_columns() -> None:
    import io

    import pandas as pd

    from foresight_probes.report.study import _parquet, _table

    for table in (pd.read_csv(io.StringIO(_table({}))), pd.read_parquet(io.BytesIO(_parquet({})))):
        assert list(table.columns[:4]) == ["runs", "dataset", "task", "point"]
        assert len(table) == 0
