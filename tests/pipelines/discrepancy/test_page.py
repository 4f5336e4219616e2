"""The page `docs/why_your_probe_reads_zero.md`: its command makes its numbers, and they say what it says."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.discrepancy.parts import Request
from pipelines.discrepancy.run import compare
from pipelines.page_tables import marks
from tests.support.command import foresight

PAGE = Path(__file__).resolve().parents[3] / "docs" / "why_your_probe_reads_zero.md"
TOLERANCE, SHARE_OF_INTERVAL = 0.01, 0.5
"""How far a number may be from that of the page. Other processors round otherwise, and what training makes of that is
as another seed, which intervals count: it may be anywhere in the page's interval, whose ends may move as far."""
NUMBER = re.compile(r"[+-]?\d+\.\d+")


def table(text: str) -> dict[str, list[str]]:
    """Cells of the rows of a page, by the row's name."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): [cell.strip() for cell in cells] for cells in lines}


def parts_of_page() -> tuple[str, str]:
    """The page without its table, and the table."""
    begin, end = marks("table of factors")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    generated, _, after = rest.partition(end)
    return before + after, generated


def differing(text: str, other: str) -> Iterator[str]:
    """Names of rows whose numbers are not those of another page."""
    own, others = table(text), table(other)
    yield from own.keys() ^ others.keys()
    for key in own.keys() & others.keys():
        for first, second in zip(own[key], others[key], strict=True):
            numbers, expected = ([float(x) for x in NUMBER.findall(cell)] for cell in (first, second))
            wide = max(expected, default=0) - min(expected, default=0)
            allowed = max(TOLERANCE, SHARE_OF_INTERVAL * wide)
            same = NUMBER.sub("", first) == NUMBER.sub("", second) and len(numbers) == len(expected)
            if not same or any(abs(one - two) > allowed for one, two in zip(numbers, expected, strict=True)):
                yield f"{key}: {first} and {second}"


def test_numbers_that_differ_are_found() -> None:
    page = "| `q2` | Q2's | 0.150 (0.140 to 0.160) | 247 | 3 |"
    assert list(differing(page, page)) == []
    assert list(differing(page.replace("0.150", "0.157"), page)) == []
    assert len(list(differing(page.replace("0.150", "0.163"), page))) == 1
    assert len(list(differing(page.replace("247", "240"), page))) == 1
    assert len(list(differing(page.replace("`q2`", "`q3`"), page))) == 2


def test_the_words_of_the_page_have_the_numbers_of_its_table() -> None:
    words, generated = parts_of_page()
    numbers = set(re.findall(r"\b\d\.\d{3}\b", words))
    assert len(numbers) > 10
    assert [number for number in numbers if number not in generated] == []


def test_every_number_has_an_interval_and_an_n() -> None:
    rows = table(parts_of_page()[1])
    assert len(rows) > 40
    for cells in rows.values():
        value, scenes = cells[2:4]
        low, high = map(float, re.findall(r"(\d\.\d+)", value)[1:])
        assert low <= float(value.split()[0]) <= high
        assert int(scenes) >= 100


def test_the_page_agrees_with_itself() -> None:
    assert_as_it_says({key: float(cells[2].split()[0]) for key, cells in table(parts_of_page()[1]).items()})


@pytest.mark.simulation
def test_a_part_of_the_page_can_be_made_again(assets: Path, tmp_path: Path) -> None:
    """The numbers of the tiny model, in a few minutes; all of them take half an hour."""
    request = Request(out=tmp_path, model=str(assets / "models/dinov2-small-saliency"), scenes=800, lpips_weights=None)
    compare(request, 1, parts=["tiny"])
    made, page = (tmp_path / "factors.md").read_text(), parts_of_page()[1]
    keys = table(made).keys()
    assert len(keys) >= 4
    rows = [line for line in page.splitlines() if line.startswith(tuple(f"| `{key}` |" for key in keys))]
    assert list(differing(made, "\n".join(rows))) == []


@pytest.mark.simulation
def test_the_command_of_the_page_makes_its_numbers(assets: Path, tmp_path: Path) -> None:
    models = assets / "models"
    run = foresight(
        *("discrepancy", "--out", str(tmp_path / "made"), "--model", str(models / "dinov2-small-saliency")),
        *("--lpips-weights", str(models / "lpips"), "--workers", "2"),
    )
    assert run.returncode == 0, run.stderr
    assert list(differing(run.stdout, parts_of_page()[1])) == []
    with (tmp_path / "made" / "factors.csv").open() as file:
        assert_as_it_says({row["key"]: float(row["value"]) for row in csv.DictReader(file)})


def assert_as_it_says(reads: dict[str, float]) -> None:
    """The directions, and the order, that the page explains."""
    # Many objects, pooled, read least; one object reads more, and with a hidden layer more still.
    assert reads["q2-place"] < reads["q2"] < reads["q2-best"] < 0.25
    assert 0.1 < reads["q2"] < 0.2 < reads["one"] < 0.4 < reads["c1"] < 0.6
    # The mean does not see the order of tokens; heads that read tokens do.
    assert abs(reads["q2-hook"] - reads["q2"]) < 0.005
    assert reads["tokens"] - reads["tokens-hook"] > 0.1
    # Neither slots nor zeros nor epochs make up for what the mean has lost.
    for key in ("q2-no-zeros", "q2-sorted", "q2-five", "q2-mlp", "q2-long", "naive", "pooled"):
        assert abs(reads[key] - reads["q2"]) < 0.1, key
    # Tokens do, on the same features.
    assert reads["tokens"] > 2.2 * reads["pooled"]
    assert reads["one-tokens"] > reads["one-pooled"] > reads["one"]
    # A leak lifts what it should not.
    assert reads["q2-leak"] - reads["q2-free"] > 0.05
    assert reads["c1-leak"] - reads["c1-long"] > 0.15
    # What learned nothing and has no limits reads an LPIPS of 1.5; right cells in any order do not.
    assert reads["noise"] > 1.4
    assert reads["random"] < 0.75
    assert reads["hook"] < reads["random"]
    assert reads["range"] < reads["mean"] < 0.9
    assert reads["vit.patch_embed"] < 0.05 < reads["vit.block_09"] < reads["mean"]
    # Queries without places find nothing; those with places, and tokens, find all.
    assert max(reads["detr-2"], reads["detr-10"], reads["detr-places"]) < 0.1
    assert min(reads["anchored"], reads["detection-tokens"]) > 0.9
    # Steps of Adam read wide features worse, closed forms do not.
    assert reads["base"] - reads["wide"] > 0.05
    assert abs(reads["base-closed"] - reads["wide-closed"]) < 0.01


def test_matching_reads_barely_more_with_features_than_without() -> None:
    cells = table(parts_of_page()[1])["q2-matched"]
    assert abs(float(cells[2].split()[0]) - float(cells[5])) < 0.06
