"""The similarity of points as a table, a heat map and a page."""

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.report.figures.heat_map import draw
from foresight_probes.report.page import RANDOM_WEIGHTS
from foresight_probes.report.rendering import templates
from foresight_probes.similarity.result import Matrix, PointSimilarity, Tested

NAME = "similarity"
"""Name of the files, before their suffixes."""


PAIRS = "similarity_pairs.csv"
"""Name of the table with a line for each pair of points."""
NEIGHBOURS = "mutual_knn"
"""Name of the files of the figure of common neighbours, before their suffixes."""
PARTS = ("", "_by_chance", "_p_value", "_threshold", "_calibrated", "_corrected_p_value")
"""Ends of the names of columns: of the value, its mean by chance, its p-value, the threshold that one in twenty exceeds
by chance, the value less that threshold over what is above it, and the p-value corrected for the number of pairs."""
TESTS = ("tested_cka", "debiased_cka", "mutual_knn")
"""Beginnings of the names of these columns."""


def write_similarity(similarity: PointSimilarity, out: Path) -> Path:
    """Writes `similarity.csv`, `.png`, `.svg` and `.html`, and returns the last; and `PAIRS`, and `NEIGHBOURS`' figure.

    The HTML stands alone: the figures are inside it and it has no script. In the tables a value that is not defined is
    empty. The same similarity gives the same bytes. Raises `ProbeError` where `out` cannot be written.
    """
    page = (out / NAME).with_suffix(".html")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_file((out / NAME).with_suffix(".csv"), _table(similarity).encode())
        write_file(out / PAIRS, _pairs_table(similarity).encode())
        figure = _draw(similarity, similarity.cka, similarity.tested_cka, "linear CKA", out / NAME)
        shared = similarity.mutual_knn
        neighbours = (
            _draw(similarity, shared.values, shared, "share of common neighbours", out / NEIGHBOURS) if shared else ""
        )
        write_file(page, _page(similarity, figure, neighbours).encode())
    except OSError as error:
        raise ProbeError(f"cannot write the similarity to {out}: {error.strerror or error}") from error
    return page


def _draw(similarity: PointSimilarity, values: Matrix, chance: Tested | None, meaning: str, stem: Path) -> str:
    cells = product(range(len(similarity.points)), range(len(similarity.columns)))
    return draw(
        values,
        rows=similarity.points,
        columns=similarity.columns,
        title=[*textwrap.wrap(_heading(similarity), 60), _compared(similarity)],
        meaning=meaning,
        axes_names=_axes_names(similarity),
        stem=stem,
        struck=[cell for cell in cells if chance and chance.by_chance(*cell)],
    )


def _table(similarity: PointSimilarity) -> str:
    """All digits, so that nothing is lost; a point for each line and each column."""
    lines = zip(similarity.points, similarity.cka, strict=True)
    return _csv([["point", *similarity.columns], *([name, *map(_digits, values)] for name, values in lines)])


def _pairs_table(similarity: PointSimilarity) -> str:
    head = ["point", "other", "cka", *(f"{name}{part}" for name in TESTS for part in PARTS)]
    return _csv([head, *([pair.point, pair.other, *map(_digits, pair.numbers)] for pair in pairs(similarity))])


@dataclass(frozen=True, slots=True)
class _Pair:
    """What is known of one pair of points."""

    point: str
    other: str
    numbers: Sequence[float | None]
    """Linear CKA; that of the samples that were exchanged with all of `PARTS`; the same of `TESTS`' others."""

    def part(self, test: int, part: int) -> float | None:
        """Returns the number of one of `TESTS` and one of `PARTS`, by their places."""
        return self.numbers[1 + test * len(PARTS) + part]


def pairs(similarity: PointSimilarity) -> list[_Pair]:
    """Returns every pair of points once, none of a point with itself."""
    within = len(similarity.caches) == 1
    parts: list[Matrix] = [similarity.cka]
    none = tuple((None,) * len(similarity.columns) for _ in similarity.points)
    for own in (similarity.tested_cka, similarity.debiased_cka, similarity.mutual_knn):
        parts += (
            [own.values, own.chance, own.p_values, own.threshold, own.calibrated, own.corrected]
            if own
            else [none] * len(PARTS)
        )
    return [
        _Pair(point, other, [part[row][column] for part in parts])
        for row, point in enumerate(similarity.points)
        for column, other in enumerate(similarity.columns)
        if row < column or not within
    ]


def _digits(value: float | None) -> str:
    return "" if value is None else repr(value)


def _csv(lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _page(similarity: PointSimilarity, figure: str, neighbours: str) -> str:
    random = "random" in (similarity.model.get("weights"), similarity.other_model.get("weights"))
    return (
        templates()
        .get_template("similarity.html.jinja")
        .render(
            similarity=similarity,
            heading=_heading(similarity),
            under=_compared(similarity),
            notice=RANDOM_WEIGHTS if random else None,
            figure=figure,
            caption=_caption(similarity),
            neighbours=neighbours,
            neighbours_caption=_neighbours_caption(similarity),
            pairs=pairs(similarity),
            titles=list(enumerate(("Linear CKA", "Debiased linear CKA", "Common neighbours"))),
            facts=_facts(similarity),
        )
    )


def _heading(similarity: PointSimilarity) -> str:
    one, other = similarity.model_names
    return f"Similarity of points of {one}" + (f" and {other}" if other != one else "")


def _axes_names(similarity: PointSimilarity) -> tuple[str, str]:
    if len(similarity.caches) == 1:
        return "", ""
    one, other = similarity.model_names
    return (other, one) if other != one else (similarity.caches[1], similarity.caches[0])


def _compared(similarity: PointSimilarity) -> str:
    tokens = f", {similarity.rows:,} tokens" if similarity.of == "tokens" else ", means over tokens"
    return f"{similarity.samples:,} samples of {similarity.dataset or 'a dataset without a name'}{tokens}"


def _caption(similarity: PointSimilarity) -> str:
    rows = {
        "tokens": "each token of each sample, on the finest grid of these points: a token of a coarser grid stands "
        "for all cells that it covers",
        "means": "the mean over the tokens of each sample",
    }
    return (
        "Linear CKA (Kornblith et al. 2019): 1 for features that differ by a rotation and a scale, 0 for uncorrelated "
        f"ones. Compared is {rows[similarity.of]}. Unrelated noise of as many channels and rows would show up to "
        f"{similarity.noise:.2g}. {_against_chance(similarity.tested_cka)}"
    )


def _neighbours_caption(similarity: PointSimilarity) -> str:
    return (
        f"Mutual nearest neighbours (Huh et al. 2024): the mean share of the {similarity.neighbours} nearest samples "
        "of a sample, by the cosine of means over tokens, that two points have in common. "
        f"{_against_chance(similarity.mutual_knn)}"
    )


def _against_chance(chance: Tested | None) -> str:
    if chance is None:
        return "There are too few groups of samples to exchange any, so that what chance makes is not known."
    tokens = f", each with {chance.rows} of its tokens" if chance.rows > 1 else ""
    return (
        f"Struck through is what is no more than chance makes: {chance.samples:,} samples, one of each group{tokens}, "
        f"were exchanged {chance.permutations} times, and more than one time in twenty the two were as similar. Of "
        "pairs that have nothing in common, one in twenty is not struck through."
    )


def _facts(similarity: PointSimilarity) -> list[tuple[str, str]]:
    """What the numbers depend on, as labelled texts."""
    models = {"model": similarity.model} | (
        {"other model": similarity.other_model} if len(similarity.caches) > 1 else {}
    )
    described = [
        (f"{label} {name}", str(value))
        for label, model in models.items()
        for name, value in model.items()
        if isinstance(value, str | int | float)
    ]
    caches = [(label, path) for label, path in zip(("cache", "other cache"), similarity.caches, strict=False)]
    return [*caches, *described, ("foresight-cache", version("foresight-cache"))]
