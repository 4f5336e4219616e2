"""The similarity of points as a table, a heat map and a page."""

import csv
import io
import textwrap
from importlib.metadata import version
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.report.figures.heat_map import draw
from foresight_probes.report.page import RANDOM_WEIGHTS
from foresight_probes.report.rendering import templates
from foresight_probes.similarity import PointSimilarity

NAME = "similarity"
"""Name of the files, before their suffixes."""


def write_similarity(similarity: PointSimilarity, out: Path) -> Path:
    """Writes `similarity.csv`, `.png`, `.svg` and `.html`, and returns the last.

    The HTML stands alone: the figure is inside it and it has no script. In the table a value that is not defined is
    empty. The same similarity gives the same bytes. Raises `ProbeError` where `out` cannot be written.
    """
    page = (out / NAME).with_suffix(".html")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_file((out / NAME).with_suffix(".csv"), _table(similarity).encode())
        figure = draw(
            similarity.cka,
            rows=similarity.points,
            columns=similarity.columns,
            title=[*textwrap.wrap(_heading(similarity), 60), _compared(similarity)],
            meaning="linear CKA",
            axes_names=_axes_names(similarity),
            stem=out / NAME,
        )
        write_file(page, _page(similarity, figure).encode())
    except OSError as error:
        raise ProbeError(f"cannot write the similarity to {out}: {error.strerror or error}") from error
    return page


def _table(similarity: PointSimilarity) -> str:
    """All digits, so that nothing is lost; a point for each line and each column."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["point", *similarity.columns])
    for name, values in zip(similarity.points, similarity.cka, strict=True):
        table.writerow([name, *("" if value is None else repr(value) for value in values)])
    return text.getvalue()


def _page(similarity: PointSimilarity, figure: str) -> str:
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
            rows=list(zip(similarity.points, similarity.cka, strict=True)),
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
        f"{similarity.noise:.2g}."
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
