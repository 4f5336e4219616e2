"""How alike tokens are that lie side by side: cosine similarity of neighbours, of distant ones, of other pictures."""

from collections.abc import Sequence

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.metrics import Scores
from foresight_probes.statistics import token_neighbours as pairs
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table
from foresight_probes.studies.picture_tokens import picture_cells, picture_tokens
from foresight_probes.studies.sampled_tokens import choose_rows, dense_points
from foresight_probes.studies.study import SectionRequest
from foresight_probes.studies.token_classes import TokenClasses

SAMPLES = 200
"""Samples that are read, unless the study names another number."""
KINDS = ("neighbours", "half a side apart", "any two", "other picture", "next frame", "of one class", "of two classes")
"""Pairs of tokens, by what they have in common; each is the mean of a sample."""
DIFFERENCES = (("neighbours", "half a side apart"), ("of one class", "of two classes"))


class Section(sections.Section):
    """Mean cosine similarities of tokens of `datasets` at `points`, as they are and less the mean token.

    Neighbours are those side by side or one above the other; those of one class and of two are told apart by the rule
    of the task `patch-class`. Samples, one of each group, are chosen by a hash of their names.
    """

    reads_caches_alone = True
    needs = ("datasets", "points")
    takes = ("samples",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table. Raises `ProbeError` where no dataset has one of the points."""
        rows: list[tuple[Cell, ...]] = []
        for name in request.datasets:
            cache = evidence.caches.get(name)
            if cache is None:
                continue
            chosen = choose_rows(cache, request.samples or SAMPLES)
            classes = TokenClasses(cache, chosen)
            for point in dense_points(cache, request.points):
                rows += _rows(name, cache, point, chosen, classes)
        if not rows:
            wanted = ", ".join(request.points)
            raise ProbeError(f"no cache of {', '.join(request.datasets)} was given that has {wanted}")
        columns = ("dataset", "point", "tokens", *KINDS, *(f"{one} less {other}" for one, other in DIFFERENCES))
        return [Table(columns=columns, rows=tuple(rows), note=_NOTE)]


_NOTE = (
    "Mean cosine similarity, which of each picture is a mean over its pairs; 95 % intervals are of pictures drawn "
    "again. Neighbours lie side by side or one above the other; half a side apart lie in one row or column; any two "
    "are all pairs of a frame; the tokens of another picture are those at the same places. Less the mean: the mean of "
    "all tokens that were read is taken away first, since a direction that all tokens share makes any two of them "
    "alike. Classes are those of patches; where neighbours of two classes are less alike than those of one, the "
    "boundaries of objects are there."
)


def _rows(name: str, cache: Cache, point: str, chosen: Sequence[int], classes: TokenClasses) -> list[tuple[Cell, ...]]:
    plain_SK, centred_SK = similarities(cache, point, chosen, classes)
    groups = [str(cache.rows[row]["group"]) for row in chosen]
    return [
        (name, point, title, *_intervals(values_SK, groups, classes.missing))
        for title, values_SK in (("as they are", plain_SK), ("less the mean", centred_SK))
    ]


def similarities(
    cache: Cache, point: str, chosen: Sequence[int], classes: TokenClasses
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the similarities of each sample, float64 [S, kinds], of tokens as they are and less the mean token."""
    total_D, count = np.zeros(cache[point].shape[2]), 0
    for row in chosen:
        tokens_THWD = picture_tokens(cache, point, row)
        total_D += tokens_THWD.sum((0, 1, 2), dtype=np.float64)
        count += tokens_THWD[..., 0].size
    mean_D = total_D / max(1, count)
    plain, centred = [], []
    for row, following in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
        own, second = picture_tokens(cache, point, row), picture_tokens(cache, point, following)
        grid = cache[point].grid_of(row)
        classes_THW = classes.of(row, grid).reshape(grid)[:, *picture_cells(cache.rows[row], grid)]
        plain.append(_of_sample(own, second, classes_THW))
        centred.append(_of_sample(own - mean_D, second - mean_D, classes_THW))
    return np.array(plain), np.array(centred)


def _of_sample(own_THWD: np.ndarray, other_THWD: np.ndarray, classes_THW: np.ndarray) -> list[float]:
    units, others = pairs.unit(own_THWD), pairs.unit(other_THWD)
    return [
        pairs.neighbour_similarity(units),
        pairs.distant_similarity(units),
        pairs.any_similarity(units),
        pairs.same_place_similarity(units, others),
        pairs.next_frame_similarity(units),
        *pairs.boundary_similarities(units, classes_THW),
    ]


def _intervals(values_SK: np.ndarray, groups: Sequence[str], missing: str) -> list[Cell]:
    by_name = dict(zip(KINDS, values_SK.T, strict=True))
    by_name |= {f"{one} less {other}": by_name[one] - by_name[other] for one, other in DIFFERENCES}
    return [
        _interval(values_S, groups, missing if missing and "class" in name else "no such pairs")
        for name, values_S in by_name.items()
    ]


def _interval(values_S: np.ndarray, groups: Sequence[str], reason: str) -> Interval | str:
    """Returns the mean over samples that have such pairs; the reason where there are none."""
    has_S = np.isfinite(values_S)
    if not has_S.any():
        return f"not measured: {reason}"
    kept = [group for group, has in zip(groups, has_S, strict=True) if has]
    return bootstrap(values_S[has_S][:, None], kept, _means)["similarity"]


def _means(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    values_S = np.asarray(scores)[:, 0]
    return {"similarity": counts_RS @ values_S / counts_RS.sum(1)}
