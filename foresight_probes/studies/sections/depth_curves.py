"""What tokens are like at each point, without any label: norms, outliers, effective rank, curvature and turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table
from foresight_probes.studies.picture_tokens import picture_tokens
from foresight_probes.studies.sample_means import mean_of
from foresight_probes.studies.sampled_tokens import choose_rows, dense_points
from foresight_probes.studies.study import SectionRequest
from foresight_probes.tasks.kinds.cell_means import evenly
from foresight_probes.training_free import token_spectra as spectra

SAMPLES = 64
"""Samples that are read, unless the study names another number."""
RANKED = 256
"""Tokens of a sample of which the effective rank is taken, at most."""
POOLED = 1024
"""Tokens of all samples together of which it is taken, at most."""
UNITS = {
    "median norm": "length",
    "outliers": "share of tokens",
    "strongest channel": "share of squares",
    "effective rank of a sample": "directions",
    "effective rank of all": "directions",
    "curvature": "degrees",
    "cosine to the point before": "cosine",
    "turn": "degrees",
}
"""What is drawn over points, and its unit."""


class Section(sections.Section):
    """Curves over `points` of `datasets` from one pass over a cache, of one sample of each group, chosen by hash."""

    reads_caches_alone = True
    needs = ("datasets", "points")
    takes = ("samples",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table and figures. Raises `ProbeError` where no dataset has one of the points."""
        found: dict[str, Mapping[str, Mapping[str, Cell]]] = {}
        for name in request.datasets:
            cache = evidence.caches.get(name)
            points = dense_points(cache, request.points) if cache else []
            if cache and points:
                found[name] = curves(cache, points, choose_rows(cache, request.samples or SAMPLES))
        if not found:
            wanted = ", ".join(request.points)
            raise ProbeError(f"no cache of {', '.join(request.datasets)} was given that has {wanted}")
        rows = [
            (name, point, *(values[title] for title in UNITS))
            for name, of_points in found.items()
            for point, values in of_points.items()
        ]
        table = Table(columns=("dataset", "point", *UNITS), rows=tuple(rows), note=_NOTE)
        figures = (_figure(title, unit, found) for title, unit in UNITS.items())
        return [table, *(figure for figure in figures if figure.series)]


_NOTE = (
    "Means over samples of what each sample's tokens have; 95 % intervals are of samples drawn again. Outliers are "
    f"tokens longer than {spectra.OUTLIER:g} medians of the point. The effective rank is exp(-Σ p log p) of the shares "
    f"p of the eigenvalues of the covariance, of {RANKED} tokens of a sample at most (its mean token taken away) and "
    f"of {POOLED} of all samples together, which has no interval and is less than that number. Curvature is the "
    "mean angle between the steps from token to token in their order; of tokens in any order it is 120 degrees. The "
    "turn is the mean angle between what a point adds to a token and what the point before it added, of points with "
    "the same channels and grid."
)


def _figure(title: str, unit: str, found: Mapping[str, Mapping[str, Mapping[str, Cell]]]) -> Lines:
    series = []
    for name, of_points in found.items():
        drawn = {point: values[title] for point, values in of_points.items() if not isinstance(values[title], str)}
        if len(drawn) > 1:
            series.append(Series(name=name, places=tuple(drawn), values=tuple(drawn.values())))  # type: ignore[arg-type]
    return Lines(title=title, across="point", up=f"{title} ({unit})", series=tuple(series))


@dataclass(slots=True)
class _OfPoint:
    """What was read of a point."""

    norms: list[np.ndarray] = field(default_factory=list)
    """Of each sample, [N]."""
    values: list[list[float]] = field(default_factory=list)
    """Of each sample: strongest channel, effective rank, curvature, cosine to the point before, turn."""
    pooled: list[np.ndarray] = field(default_factory=list)
    """A few tokens of each sample, [n, D] float32."""


def curves(cache: Cache, points: Sequence[str], chosen: Sequence[int]) -> dict[str, dict[str, Cell]]:
    """Returns the quantities of `UNITS` by point, from one pass over the chosen samples."""
    of_points = {point: _OfPoint() for point in points}
    each = max(1, POOLED // max(1, len(chosen)))
    for row in chosen:
        earlier: list[np.ndarray] = []
        for point, own in of_points.items():
            tokens_THWD = picture_tokens(cache, point, row)
            tokens_ND = tokens_THWD.reshape(-1, tokens_THWD.shape[-1]).astype(np.float32)
            own.norms.append(spectra.norms(tokens_ND))
            own.pooled.append(_few(tokens_ND, each))
            own.values.append(
                [
                    spectra.strongest_channel(tokens_ND),
                    spectra.effective_rank(_few(tokens_ND, RANKED)),
                    spectra.curvature(tokens_ND),
                    *_against_earlier(tokens_ND, earlier),
                ]
            )
            earlier = [*earlier[-1:], tokens_ND]
    groups = [str(cache.rows[row]["group"]) for row in chosen]
    return {point: _summary(own, groups) for point, own in of_points.items()}


def _few(tokens_ND: np.ndarray, most: int) -> np.ndarray:
    return tokens_ND[evenly(range(len(tokens_ND)), most)]


def _against_earlier(tokens_ND: np.ndarray, earlier: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns the mean cosine with the same tokens at the point before, and the mean turn; NaN where shapes differ."""
    same = [other for other in earlier if other.shape == tokens_ND.shape]
    if not same or same[-1] is not earlier[-1]:
        return float("nan"), float("nan")
    before = earlier[-1].astype(np.float64)
    lengths_N = np.linalg.norm(before, axis=1) * np.linalg.norm(tokens_ND.astype(np.float64), axis=1)
    cosines_N = np.einsum("nd,nd->n", before, tokens_ND) / np.where(lengths_N > 0, lengths_N, np.inf)
    turn = spectra.mean_angle(before - same[0], tokens_ND - before) if len(same) == 2 else float("nan")
    return float(cosines_N.mean()), turn


def _summary(own: _OfPoint, groups: Sequence[str]) -> dict[str, Cell]:
    median = float(np.median(np.concatenate(own.norms)))
    of_samples = dict(
        zip(list(UNITS)[2:4] + list(UNITS)[5:], np.array(own.values).T, strict=True),
    )
    of_samples["median norm"] = np.array([np.median(norms_N) for norms_N in own.norms])
    of_samples["outliers"] = np.array([spectra.outlier_share(norms_N, median) for norms_N in own.norms])
    found: dict[str, Cell] = {
        title: mean_of(values_S, groups, "no other point of its channels and grid before it")
        for title, values_S in of_samples.items()
    }
    rank = spectra.effective_rank(np.concatenate(own.pooled))
    return found | {"effective rank of all": rank if np.isfinite(rank) else "not measured: tokens do not vary"}
