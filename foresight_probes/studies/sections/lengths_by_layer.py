"""Lengths of visual tokens beside those of words, by layer, and how far tokens keep their first direction."""

from collections.abc import Sequence

import pandas as pd

from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.looked_up import looked_up
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table
from foresight_probes.studies.sample_means import mean_of
from foresight_probes.studies.study import SectionRequest


class Section(sections.Section):
    """Lengths and cosines of the tokens of a group (`words`), of which `statistics.parquet` has those of each image."""

    needs = ("words",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns two tables and two figures. Raises `ProbeError` where nothing was looked up."""
        found = looked_up(evidence, request)
        every = found.statistics
        layers = {(str(own["layer"]), str(own["of"])): rows for own, rows in _by_place(every)}
        lengths: list[tuple[Cell, ...]] = []
        cosines: list[tuple[Cell, ...]] = []
        for (layer, of), rows in layers.items():
            groups = rows["group"].tolist()
            median = mean_of(rows["median"].to_numpy(float), groups)
            lengths.append((layer, of, median, *(float(rows[name].mean()) for name in ("deviation", "least", "most"))))
            own = mean_of(rows["cosine"].to_numpy(float), groups, _OTHER)
            other = mean_of(rows["cosine_elsewhere"].to_numpy(float), groups, _OTHER)
            cosines.append((layer, of, own, other))
        return [
            Table(
                columns=("layer", "of", "median length", "deviation", "least", "most"),
                rows=tuple(lengths),
                title="Lengths of tokens",
                note=_LENGTHS,
            ),
            _figure("Median length of tokens", "length (L2)", {of: _column(lengths, of, 2) for of in KINDS}),
            Table(
                columns=("layer", "of", "with itself", "with other tokens"),
                rows=tuple(cosines),
                title="Cosine with the first layer",
                note=_COSINES,
            ),
            _figure(
                "Cosine with the first layer",
                "cosine",
                {
                    f"{of}, {who}": _column(cosines, of, column)
                    for of in KINDS
                    for column, who in ((2, "the same token"), (3, "other tokens"))
                },
            ),
        ]


KINDS = ("image", "text")
"""What tokens are of."""
_OTHER = "it has other channels or other tokens than the first of the points"
_LENGTHS = (
    "Means over images of what the tokens of each have; statistics.parquet, in the folder of these words, has those of "
    "each image and layer. Text is of the words of the prompt. Where tokens of the image are much longer than what a "
    "layer adds to them, they hardly change with depth, and the same words at all layers say little."
)
_COSINES = (
    "The mean cosine of a token with itself at the first of the points, and with the other tokens of its image there, "
    "which is what any two tokens have in common."
)


def _by_place(every: pd.DataFrame) -> list[tuple[dict[str, object], pd.DataFrame]]:
    return [
        ({"layer": layer, "of": of}, rows)
        for (of, layer), rows in sorted(
            every.groupby(["of", "layer"], sort=False), key=lambda own: (own[0][0], own[1].index[0])
        )
    ]


def _column(rows: Sequence[tuple[Cell, ...]], of: str, column: int) -> dict[str, Interval]:
    cells = {str(row[0]): row[column] for row in rows if row[1] == of}
    return {layer: cell for layer, cell in cells.items() if isinstance(cell, Interval)}


def _figure(title: str, up: str, drawn: dict[str, dict[str, Interval]]) -> Lines:
    series = (Series(name=name, places=tuple(own), values=tuple(own.values())) for name, own in drawn.items() if own)
    return Lines(title=title, across="layer", up=up, series=tuple(series))
