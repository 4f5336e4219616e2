"""Slides hold every word inside their margins, whatever the words are, and have the same bytes each time."""

import os
import re
import subprocess
import sys
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import FigureBase

from foresight_probes.report.slides import BOTTOM, HEIGHT, LEFT, WIDTH, Deck, Words
from tests.support import pdf

DAY = date(2026, 3, 4)


def full_deck() -> Deck:
    """Every kind of content, each too much for a page."""
    deck = Deck("A title at the foot")
    deck.page("A heading that is far longer than a line can be " * 3)
    deck.paragraph(" ".join(f"word{number}" for number in range(320)), lead="Many words")
    deck.page("A word without an end")
    deck.paragraph("a" * 400)
    deck.page("A long table")
    long = " ".join(f"cell{number}" for number in range(300))
    rows = [(f"row{number}", Words(f"struck{number}", struck=True), "0.5") for number in range(40)]
    deck.table(("name", "value", "because"), [*rows, ("last", "x", long)])
    deck.page("A wide table")
    deck.table(
        [f"column{number}" for number in range(30)], [[f"v{row}x{own}" for own in range(30)] for row in range(2)]
    )
    deck.page("h" * 600)
    deck.table(["c" * 600, "d"], [["row", "of endless headings"]])
    deck.page("A figure")
    deck.figure(_plot)
    deck.page("Pictures")
    picture = np.full((30, 40, 3), (200, 0, 0), np.uint8)
    deck.pictures("reds", [(picture, f"caption{number}") for number in range(28)])
    return deck


def _plot(figure: FigureBase) -> None:
    figure.add_subplot().plot([0, 1], [0, 1])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "slides.pdf"
    path.write_bytes(full_deck().save(DAY))
    return path


def test_no_word_is_lost_or_leaves_its_margin(written: Path) -> None:
    found = pdf.shown(written)
    assert set(found.sizes) == {(WIDTH, HEIGHT)}
    text = found.text
    expected = [
        *(f"word{number}" for number in range(320)),
        *(f"cell{number}" for number in range(300)),
        *(f"row{number}" for number in range(40)),
        *(f"struck{number}" for number in range(40)),
        *(f"column{number}" for number in range(30)),
        *(f"v1x{number}" for number in range(30)),
        *(f"caption{number}" for number in range(28)),
    ]
    words = {word.text for word in found.words}
    assert [word for word in expected if word not in words] == []
    assert sum(word.text.count("a") for word in found.words if set(word.text) == {"a"}) >= 400
    assert found.outside(margin=LEFT / 4) == []
    body = [word for word in found.words if word.bottom > HEIGHT - BOTTOM + 3]
    foot = {"A", "title", "at", "the", "foot", *(str(number) for number in range(1, len(found.sizes) + 1))}
    assert {word.text for word in body} <= foot, "nothing but the foot stands in the foot"
    assert "(continued)" in text


def test_words_do_not_lie_over_each_other(written: Path) -> None:
    """Boxes are those of the font, twice as high as its letters."""
    found = pdf.shown(written)
    for page in range(len(found.sizes)):
        own = [word for word in found.words if word.page == page]
        for first in own:
            for other in own:
                if first is other:
                    continue
                across = min(first.right, other.right) - max(first.left, other.left)
                down = min(first.bottom, other.bottom) - max(first.top, other.top)
                assert across < 1 or down < 0.6 * (first.bottom - first.top), (first, other)


def test_every_page_shows_something(written: Path, tmp_path: Path) -> None:
    pages = pdf.pictures(written, tmp_path)
    assert len(pages) == len(pdf.shown(written).sizes)
    assert all((page < 128).any(2).mean() > 1e-3 for page in pages)
    reds = [page for page in pages if ((page[..., 0] > 150) & (page[..., 1] < 60)).mean() > 0.05]
    assert len(reds) == 2, "four rows of pictures take two pages"


def test_the_bytes_depend_on_the_day_alone(written: Path) -> None:
    again = full_deck().save(DAY)
    assert again == written.read_bytes()
    other = full_deck().save(date(2027, 1, 1))
    undated = partial(re.sub, rb"/CreationDate \([^)]*\)", b"")
    assert other != again
    assert undated(other) == undated(again)
    assert b"Producer" not in again
    plain = Deck("of no day")
    plain.page("A heading")
    assert b"CreationDate" not in plain.save(None)


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(written: Path) -> None:
    """Orders of sets differ between processes."""
    code = (
        "import sys; from tests.probes.report.test_slides import DAY, full_deck; "
        "sys.stdout.buffer.write(full_deck().save(DAY))"
    )
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, check=True)
    assert run.stdout.startswith(b"%PDF")
    assert run.stdout == written.read_bytes()
