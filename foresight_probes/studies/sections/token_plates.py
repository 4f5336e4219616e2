"""Plates of tokens by what they show and where they lie, and how much of that the space of tokens is sorted by."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import MissingExtra, ProbeError
from foresight_probes.statistics import silhouettes
from foresight_probes.statistics.silhouettes import distances_of, silhouette
from foresight_probes.studies import embeddings, sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Panel, Part, Scatter, Table
from foresight_probes.studies.sampled_tokens import Places, SampledTokens, choose_rows, dense_points
from foresight_probes.studies.study import SectionRequest
from foresight_probes.studies.token_classes import BACKGROUND, TokenClasses

TOKENS = 1500
"""Tokens of a plate."""
SAMPLES = 300
"""Samples that they are from, unless the study names another number."""
FEWEST = 10
"""Tokens of a class below which it has no silhouette."""
NAMED = 9
"""Classes that a plate names; the others are drawn as one."""
ZONES = 3
"""Rows and columns of zones by which positions are sorted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorting:
    """A way to sort tokens into classes."""

    name: str
    kept_N: np.ndarray
    """Whether a token has a class, bool."""
    labels_N: np.ndarray
    """Class of each token, int."""


class Section(sections.Section):
    """t-SNE, and UMAP where it is installed, of tokens of `datasets` at `points`, with silhouettes.

    Tokens are at random places of `samples` samples, which a hash of their names chooses; at all points of a dataset
    the places are the same.
    """

    reads_caches_alone = True
    needs = ("datasets", "points")
    takes = ("samples",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table of silhouettes, then plates. Raises `ProbeError` where no dataset has one of the points."""
        rows: list[tuple[Cell, ...]] = []
        plates: list[Part] = []
        for name in request.datasets:
            cache = evidence.caches.get(name)
            points = [] if cache is None else dense_points(cache, request.points)
            if cache is None or not points:
                continue
            chosen = choose_rows(cache, request.samples or SAMPLES)
            places = Places(cache, chosen, points, max(1, TOKENS // max(1, len(chosen))))
            for point in points:
                tokens = places.read(point)
                components_NK = embeddings.principal_components(tokens.features_ND)
                rows += _silhouettes(name, point, tokens, components_NK, places.classes)
                plates += _plates(f"{name}, {point}", tokens, components_NK, places.classes)
        if not plates:
            wanted = ", ".join(request.points)
            raise ProbeError(f"no cache of {', '.join(request.datasets)} was given that has {wanted}")
        return [_table(rows), *plates]


def _table(rows: list[tuple[Cell, ...]]) -> Table:
    return Table(
        title="Silhouettes",
        columns=("dataset", "point", "sorted by", "silhouette", "exchanged labels", "tokens", "classes"),
        rows=tuple(rows),
        note=(
            "The mean silhouette (Rousseeuw 1987) is 1 where classes lie apart, 0 where they lie in each other. "
            f"Distances are those of the first {embeddings.COMPONENTS} principal components of standardised channels, "
            "not of the plates. Intervals (95 %) are of random halves of the images; labels are exchanged among all "
            f"tokens {silhouettes.PERMUTATIONS} times (mean, least to greatest). Only classes with {FEWEST} tokens or "
            f"more are counted. Positions are {ZONES} × {ZONES} zones of the input."
        ),
    )


def _silhouettes(
    dataset: str, point: str, tokens: SampledTokens, components_NK: np.ndarray, classes: TokenClasses
) -> Iterator[tuple[Cell, ...]]:
    distances_NN = distances_of(components_NK)
    for own in sortings(tokens, has_background=classes.has_background):
        kept = np.flatnonzero(own.kept_N & _frequent(own.labels_N, own.kept_N))
        groups = [tokens.groups[number] for number in kept]
        found = silhouette(distances_NN[np.ix_(kept, kept)], own.labels_N[kept], groups)
        if found is None:
            reason = f"not measured: fewer than two classes have {FEWEST} tokens"
            yield dataset, point, own.name, reason, None, len(kept), len(np.unique(own.labels_N[kept]))
        else:
            yield dataset, point, own.name, found.interval, found.chance, found.points, found.classes
    if classes.missing:
        yield dataset, point, "category", f"not measured: {classes.missing}", None, None, None


def sortings(tokens: SampledTokens, *, has_background: bool) -> list[Sorting]:
    """Returns the ways in which tokens are sorted, those of which there is anything to tell."""
    every_N = np.ones(len(tokens.groups), bool)
    found = []
    if (tokens.classes_N >= 0).any():
        is_known_N = tokens.classes_N >= 0
        is_object_N = is_known_N & (tokens.classes_N != BACKGROUND) if has_background else is_known_N
        found.append(Sorting(name="category", kept_N=is_object_N, labels_N=tokens.classes_N))
        if has_background:
            inside_N = (tokens.classes_N != BACKGROUND).astype(np.int64)
            found.append(Sorting(name="object or background", kept_N=is_known_N, labels_N=inside_N))
    zones_N = (tokens.rows_N * ZONES).astype(np.int64) * ZONES + (tokens.columns_N * ZONES).astype(np.int64)
    found.append(Sorting(name="position", kept_N=every_N, labels_N=zones_N))
    if tokens.steps_N.any():
        found.append(Sorting(name="frame", kept_N=every_N, labels_N=tokens.steps_N))
    return found


def _frequent(labels_N: np.ndarray, kept_N: np.ndarray) -> np.ndarray:
    values, counts = np.unique(labels_N[kept_N], return_counts=True)
    return np.isin(labels_N, values[counts >= FEWEST])


def _plates(title: str, tokens: SampledTokens, components_NK: np.ndarray, classes: TokenClasses) -> list[Part]:
    methods = [("t-SNE", embeddings.tsne(components_NK))]
    note = ""
    if embeddings.has_umap():
        methods.append(("UMAP", embeddings.umap(components_NK)))
    else:
        note = f"UMAP is not measured: {MissingExtra('umap-learn', extra='plates', purpose='it')}."
    return [
        Scatter(title=f"{method} of {title}", panels=tuple(_panels(plane_N2, tokens, classes)), note=note)
        for method, plane_N2 in methods
    ]


def _panels(plane_N2: np.ndarray, tokens: SampledTokens, classes: TokenClasses) -> Iterator[Panel]:
    if not classes.missing:
        shown_N, names = _named(tokens.classes_N, classes)
        yield Panel(title="category", places=plane_N2, classes=shown_N, names=names)
    yield Panel(title="height in the picture (0 is the top)", places=plane_N2, classes=tokens.rows_N)
    yield Panel(title="width in the picture (0 is the left)", places=plane_N2, classes=tokens.columns_N)
    if tokens.steps_N.any():
        yield Panel(title="time step", places=plane_N2, classes=tokens.steps_N.astype(np.float64))


def _named(classes_N: np.ndarray, classes: TokenClasses) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns numbers among the most frequent classes, and their names; the last one is all others."""
    values, counts = np.unique(classes_N[classes_N >= 0], return_counts=True)
    kept = values[np.argsort(-counts, kind="stable")[:NAMED]]
    shown_N = np.full(len(classes_N), len(kept), np.int64)
    for number, value in enumerate(kept):
        shown_N[classes_N == value] = number
    names = [classes.name(int(value)) for value in kept]
    return shown_N, (*names, "others") if (shown_N == len(kept)).any() else tuple(names)
