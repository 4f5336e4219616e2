"""Reports in a real browser: nothing is missing, cut off, unreadable or asked for outside, on screens and on paper."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from foresight_probes.results.result import save_result
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.parts import Lines, Panel, Picture, Pictures, Scatter, Series, Shown, Table
from tests.probes.results.test_results import result
from tests.support import pdf
from tests.support.browser import Page, Pipes, browser
from tests.support.command import foresight
from tests.support.planted_study import cache, study_file

pytestmark = pytest.mark.slow

LOOK = """
(() => {
  const box = element => element.getBoundingClientRect();
  const channels = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = text => {
    const linear = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = channels(text).map(value => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const contrast = text => (Math.max(light(text), paper) + 0.05) / (Math.min(light(text), paper) + 0.05);
  const texts = [...document.querySelectorAll('p, td, th, li, a, figcaption, h1, h2, h3, code')];
  const letters = [...document.querySelectorAll('svg [style*="fill: var(--ink"]')];
  return {
    across: document.scrollingElement.scrollWidth,
    figures: document.querySelectorAll('svg, img').length,
    missing: [...document.querySelectorAll('svg, img')].filter(own =>
      box(own).width < 16 || box(own).height < 16 || (own.tagName == 'IMG' && !own.naturalWidth)).length,
    paper: paper,
    faint: texts.filter(own => contrast(getComputedStyle(own).color) < 4.5).map(own => own.outerHTML.slice(0, 80)),
    letters: letters.length,
    faintLetters: letters.filter(own => contrast(getComputedStyle(own).fill) < 4.5).length,
    scrolling: [...document.querySelectorAll('.wide')].filter(own => own.scrollWidth > own.clientWidth).length,
  };
})()
"""
"""WCAG 2's contrast of texts with the page (relative luminance; 4.5 for text), and what a reader would miss."""
STUCK = """
(() => {
  const own = [...document.querySelectorAll('.wide')].find(each => each.scrollWidth > each.clientWidth + 40);
  own.scrollLeft = 40;
  const cell = own.querySelector('tbody td'), box = cell.getBoundingClientRect();
  return [box.left - own.getBoundingClientRect().left, own.scrollLeft];
})()
"""
POINTS = tuple(f"vit.block_{number:02d}" for number in range(8))
METRICS = ("mean_iou", "median_iou", "share_above_0.5", "share_above_0.7", *(f"mean_invented_{n}" for n in range(8)))
SECTION = Shown(
    name="all",
    title="All kinds of parts",
    parts=(
        Table(columns=tuple(f"column{n}" for n in range(16)), rows=(("x", *(n / 7 for n in range(15))),)),
        Lines(title="l", across="x", up="y", series=(Series(name="s", places=(1.0, 2.0), values=(1.0, 3.0)),)),
        Scatter(title="s", panels=(Panel(title="p", places=np.eye(2), classes=np.array([0, 1]), names=("u", "v")),)),
        Pictures(title="g", rows={"row": tuple(Picture(pixels=np.full((96, 96, 3), 99, np.uint8)) for _ in range(7))}),
    ),
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study with a section of every kind, and two folders of wide results beside each other."""
    root = tmp_path_factory.mktemp("reports")
    planted = cache(root / "cache").path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foresight_probes.report.study.show_all", lambda _: [SECTION])
        run = foresight("study", study_file(root), "--cache", planted, "--out", root / "study")
    assert run.returncode == 0, run.stderr
    for folder in ("pretrained", "random"):
        for order, point in enumerate(POINTS):
            for head in ("mlp", "token-linear"):
                metrics = {name: Interval(0.5 + order / 20, 0.4, 0.95) for name in METRICS}
                save_result(result(point=point, head=head, point_index=order, metrics=metrics), root / folder)
    run = foresight("report", root / "pretrained", root / "random", "--out", root / "report", "--pdf", "--json")
    assert run.returncode == 0, run.stderr
    assert Path(json.loads(run.stdout)["pdf"]).is_file()
    return {name: root / name / "report.html" for name in ("study", "report")}


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipes]:
    with browser(tmp_path_factory.mktemp("browser")) as own:
        yield own


@pytest.mark.parametrize("name", ["study", "report"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_report_is_whole_at_any_width(
    reports: dict[str, Path], pipes: Pipes, name: str, width: int, dark: bool
) -> None:
    page = Page(pipes, width, 900, dark=dark)
    seen = page.open(reports[name])
    look = page.evaluate(LOOK)
    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in seen.requests if url.startswith("file:")]) == 1, "the page is one file"
    assert look["across"] <= width
    assert look["figures"] >= (11 if name == "study" else 3)
    assert look["missing"] == 0
    assert (look["paper"] < 0.1) == dark
    assert look["faint"] == []
    assert look["letters"] > 20
    assert look["faintLetters"] == 0
    assert look["scrolling"] >= 1, "a wide table scrolls in its own box"
    moved, by = page.evaluate(STUCK)
    assert by == 40
    assert abs(moved) < 1, "the first column stays where it is"
    page.close()


@pytest.mark.parametrize("name", ["study", "report"])
def test_no_column_is_lost_on_paper(reports: dict[str, Path], pipes: Pipes, name: str, tmp_path: Path) -> None:
    page = Page(pipes, 1280, 900, dark=True)
    page.open(reports[name])
    (tmp_path / "printed.pdf").write_bytes(page.printed())
    headings = page.evaluate("[...document.querySelectorAll('th')].map(own => own.textContent)")
    page.close()
    found = pdf.shown(tmp_path / "printed.pdf")
    assert found.outside() == []
    text = "".join(word.text for word in found.words)
    for heading in headings:
        assert "".join(heading.split()) in text or all(part in text for part in heading.split()), heading
    widths = {round(width) for width, _ in found.sizes}
    assert widths == {595, 842}, "A4, and across for tables of many columns"
    pages = pdf.pictures(tmp_path / "printed.pdf", tmp_path / "pages", dots=70)
    assert all((sheet < 160).any(2).sum() > 30 for sheet in pages), "no empty sheet"
    assert all(np.median(sheet) == 255 for sheet in pages), "dark on white"


def test_slides_of_a_study_and_of_runs(reports: dict[str, Path], tmp_path: Path) -> None:
    for name, words in (
        ("study", ("NOISY", "Why", "Criteria", "Counting", "Knowledge", "recommended", "counting", "people")),
        ("report", ("pretrained:", "random:", "vit.block_07", "token-linear")),
    ):
        path = reports[name].with_suffix(".pdf")
        found = pdf.shown(path)
        assert found.outside(margin=5) == []
        texts = {word.text for word in found.words}
        assert [word for word in words if word not in texts] == []
        assert {round(width / height, 3) for width, height in found.sizes} == {1.778}
        pages = pdf.pictures(path, tmp_path / name)
        assert len(pages) == len(found.sizes) >= 6
        assert all((page < 128).any(2).mean() > 1e-3 for page in pages)


def test_what_is_wrong_with_a_page_is_seen(pipes: Pipes, tmp_path: Path) -> None:
    """The page has each fault once."""
    (tmp_path / "bad.html").write_text(
        "<!doctype html><meta name=viewport content='width=device-width'><body style='background: white'>"
        "<p style='width: 900px; color: #bbb'>wide and faint</p><img src=gone.png>"
        "<img src='http://example.org/x.png'><script>console.error('loud')</script>"
    )
    page = Page(pipes, 390, 900, dark=False)
    seen = page.open(tmp_path / "bad.html")
    look = page.evaluate(LOOK)
    assert look["across"] > 390
    assert look["missing"] == 2
    assert len(look["faint"]) == 1
    assert "http://example.org/x.png" in seen.requests
    assert any("loud" in error for error in seen.errors)
    page.close()
