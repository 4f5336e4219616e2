"""The table of factors as text, and its place in the documentation."""

import csv
from pathlib import Path

import pytest

from foresight_probes.statistics.interval import Interval
from pipelines.discrepancy.figure import draw
from pipelines.discrepancy.readings import Row
from pipelines.discrepancy.steps import Share
from pipelines.discrepancy.table import to_csv, to_markdown
from pipelines.discrepancy_release import release

ROWS = [
    Row(
        key="q2", part="Boxes", what="as it stands", metric="mean_iou", value=Interval(0.15, 0.14, 0.16), scenes=247,
        seeds=3, chance=0.1, against="", difference=None, paired=False,
    ),
    Row(
        key="one", part="Boxes", what="one object", metric="mean_iou", value=Interval(0.32, 0.3, 0.34), scenes=244,
        seeds=3, chance=None, against="q2", difference=Interval(0.17, 0.14, 0.2), paired=False,
    ),
]  # fmt: skip
SHARES = [
    Share(
        question="Why?",
        factor="one object",
        is_link=False,
        difference=Interval(0.17, 0.14, 0.2),
        share=Interval(0.5, 0.41, 0.59),
    )
]


def test_a_page_has_every_number_with_its_interval_and_n() -> None:
    assert to_markdown(ROWS, SHARES).splitlines() == [
        "**Why?**",
        "",
        "| factor | makes (95 %) | of the difference (95 %) |",
        "| --- | --- | --- |",
        "| alone: one object | +0.170 (+0.140 to +0.200) | 50 % (41 % to 59 %) |",
        "",
        "**Boxes**, mean IoU",
        "",
        "| row | what | reads (95 %) | n | seeds | no features | differs from | by (95 %) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| `q2` | as it stands | 0.150 (0.140 to 0.160) | 247 | 3 | 0.100 |  |  |",
        "| `one` | one object | 0.320 (0.300 to 0.340) | 244 | 3 |  | q2 | +0.170 (+0.140 to +0.200) unpaired |",
    ]


def test_the_csv_has_all_digits() -> None:
    first, second = csv.DictReader(to_csv(ROWS).splitlines())
    assert (first["value"], first["difference"], first["chance"]) == ("0.15", "", "0.1")
    assert (second["difference_high"], second["paired"], second["scenes"]) == ("0.2", "false", "244")


def test_the_figure_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw(ROWS, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").stat().st_size > 5000


def test_a_release_replaces_what_stands_between_the_marks(tmp_path: Path) -> None:
    (tmp_path / "docs" / "images").mkdir(parents=True)
    page = tmp_path / "docs" / "why_your_probe_reads_zero.md"
    page.write_text("before\n<!-- table of factors -->\n\nold\n\n<!-- end of table of factors -->\nafter\n")
    (tmp_path / "factors.md").write_text("new\n")
    (tmp_path / "factors.png").write_bytes(b"drawn")
    release(tmp_path, tmp_path)
    release(tmp_path, tmp_path)
    assert page.read_text() == ("before\n<!-- table of factors -->\n\nnew\n\n<!-- end of table of factors -->\nafter\n")
    assert (tmp_path / "docs" / "images" / "factors.png").read_bytes() == b"drawn"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place for the table"):
        release(tmp_path, tmp_path)
