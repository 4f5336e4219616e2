"""What a connector loses: common neighbours of pictures and of tokens, and how well tokens are told from its output."""

from collections.abc import Sequence

import numpy as np
import torch

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_probes.predictions import drawing
from foresight_probes.predictions.shown import input_frame, inside, middle
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.connector_tokens import CHOOSING, LEARNT, ConnectorTokens
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Picture, Pictures, Table
from foresight_probes.studies.sample_means import mean_of, ratio_of
from foresight_probes.studies.sampled_tokens import choose_rows, dense_points
from foresight_probes.studies.study import SectionRequest
from foresight_probes.training_free.neighbour_overlap import overlap
from foresight_probes.training_free.token_regression import PENALTIES, fit, token_grid

SAMPLES = 256
"""Samples that are compared, and so many are tested at most, unless the study names another number."""
COUNTS = (10, 50, 100)
"""Nearest neighbours, of which fewer than half of the others are taken."""
RANKS = {"worst": 0.0, "median": 0.5, "best": 1.0}
_WHITE_AT = 1.0
"""Error, of what the mean token has, from which on an error map is as bright as it gets."""


class Section(sections.Section):
    """Compares each of `points`, before the connector, with each of `against`, after it."""

    reads_caches_alone = True
    needs = ("datasets", "points", "against")
    takes = ("samples",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns two tables and error maps. Raises `ProbeError` where no dataset has points of both."""
        neighbours: list[tuple[Cell, ...]] = []
        told: list[tuple[Cell, ...]] = []
        pictures: list[Part] = []
        for name in request.datasets:
            cache = evidence.caches.get(name)
            if cache is None:
                continue
            for before in dense_points(cache, request.points):
                for after in dense_points(cache, request.against):
                    pair = ConnectorTokens(cache, before, after)
                    chosen = choose_rows(cache, request.samples or SAMPLES)
                    neighbours += [(name, before, after, *row) for row in overlaps(pair, chosen)]
                    row, errors = regression(pair, request.samples or SAMPLES)
                    told.append((name, before, after, *row))
                    pictures += error_maps(pair, errors)
        if not told:
            raise ProbeError(
                f"no cache of {', '.join(request.datasets)} was given that has {', '.join(request.points)} and "
                f"{', '.join(request.against)}"
            )
        head = ("dataset", "before", "after")
        columns = ("of", "k", "rows", "common neighbours", "by chance", "95 % by chance", "p")
        told_columns = ("training tokens", "test samples", "R²", "R² from the place", "gain", "penalty")
        return [
            Table(columns=(*head, *columns), rows=tuple(neighbours), title="Common neighbours", note=_NEIGHBOURS),
            Table(columns=(*head, *told_columns), rows=tuple(told), title="Told from what comes after", note=_TOLD),
            *pictures,
        ]


_NEIGHBOURS = (
    "The mean share of the k nearest neighbours of a row, by cosine, that it has before and after. Rows are means over "
    "the tokens of a picture, or tokens at the same few places of each picture, whose neighbours are those of other "
    "pictures; before the connector a token is all that lies in the cell of the one after it. By chance is the mean "
    "where whole pictures are exchanged, and one exchange in twenty lies above the 95 %. Intervals are of pictures "
    "drawn again as they were compared."
)
_TOLD = (
    "Ridge regression of the tokens before from those after, with the penalty of least error on validation samples: R² "
    "over all standardised channels of tokens of test samples, against the mean token of the training samples. From "
    "the place is what the mean token of each place tells, the gain is above that. What is missing is not in the "
    "tokens in a linear form; it may be there in another one."
)


def overlaps(pair: ConnectorTokens, chosen: Sequence[int]) -> list[tuple[Cell, ...]]:
    """Returns a row for pictures and for tokens, for each number of neighbours."""
    groups = [str(pair.cache.rows[row]["group"]) for row in chosen]
    rows: list[tuple[Cell, ...]] = []
    for kind, (before_ND, after_ND) in (("pictures", pair.means(chosen)), ("tokens", pair.placed(chosen))):
        each = len(before_ND) // len(chosen)
        others = len(before_ND) - each
        for count in (own for own in COUNTS if own <= others // 2):
            found = overlap(torch.from_numpy(before_ND), torch.from_numpy(after_ND), count, rows=each)
            mean = mean_of(found.shares_S, groups)
            rows.append((kind, count, len(before_ND), mean, found.chance, found.threshold, found.p_value))
    return rows or [("pictures", COUNTS[0], len(chosen), "not measured: too few samples", None, None, None)]


def regression(pair: ConnectorTokens, most: int) -> tuple[tuple[Cell, ...], dict[int, np.ndarray]]:
    """Returns a row of the table, and of each test sample the error of each token in squares of the mean token's."""
    training, validation, test = (pair.side(side, most) for side in ("train", "validation", "test"))
    if not (training and validation and test):
        return (None, 0, "not measured: too few samples to train, select and test", None, None, None), {}
    known = pair.sampled(training, LEARNT)
    found = fit(known, pair.sampled(validation, CHOOSING))
    places = pair.place_means(training, found)
    sums, errors = [], {}
    for row in test:
        (missed_NE, there_NE), shape = found.misses(*pair.tensors(row)), pair.before_grid(row)
        away = (places(row) - found.outputs(pair.tensors(row)[1])).square().sum()
        sums.append([float(missed_NE.sum()), float(away), float(there_NE.sum())])
        width = pair.cache[pair.before].shape[2]
        missed_NC, there_NC = (part.reshape(len(part), -1, width).sum(2) for part in (missed_NE, there_NE))
        errors[row] = token_grid(missed_NC, pair.after_grid(row), shape) / max(float(there_NC.mean()), 1e-12)
    groups = [str(pair.cache.rows[row]["group"]) for row in test]
    missed_S, away_S, there_S = np.array(sums).T
    cells: list[Cell] = [
        _ratio(part_S, there_S, groups) for part_S in (there_S - missed_S, there_S - away_S, away_S - missed_S)
    ]
    ends = (PENALTIES[0], PENALTIES[-1])
    penalty = f"{found.penalty:g}" + (", an end of the grid" if found.penalty in ends else "")
    return (len(known[0]), len(test), *cells, penalty), errors


def _ratio(over_S: np.ndarray, under_S: np.ndarray, groups: Sequence[str]) -> Interval | str:
    return ratio_of(np.stack([over_S, under_S], axis=1), groups)


def error_maps(pair: ConnectorTokens, errors: dict[int, np.ndarray]) -> list[Part]:
    """Returns pictures with the errors of their tokens: of the worst, the median and the best test sample."""
    if not errors or PIXELS not in pair.cache:
        return []
    ranked = sorted(errors, key=lambda row: (-float(errors[row].mean()), str(pair.cache.rows[row]["id"])))
    rows: dict[str, tuple[Picture, ...]] = {}
    for name, rank in RANKS.items():
        row = ranked[round(rank * (len(ranked) - 1))]
        rows[f"{name}: {pair.cache.rows[row]['id']}"] = _map(pair.cache, row, errors[row])
    note = (
        "Each token before the connector: black where it is told in full, white where no better than by the mean token "
        "of all pictures, as a share of what tokens of this picture have on average."
    )
    return [Pictures(title=f"Errors of {pair.before} told from {pair.after}", rows=rows, note=note)]


def _map(cache: Cache, row: int, errors_THW: np.ndarray) -> tuple[Picture, ...]:
    picture, shown = input_frame(cache, row), inside(cache.rows[row])
    grey_HW = (255 * (middle(errors_THW) / _WHITE_AT).clip(0, 1)).round().astype(np.uint8)
    times = [max(1, size // cells) for size, cells in zip(picture.shape[:2], grey_HW.shape, strict=True)]
    large_HW = grey_HW.repeat(times[0], axis=0).repeat(times[1], axis=1)
    return (
        Picture(pixels=drawing.plain(picture[shown]), caption="picture"),
        Picture(
            pixels=drawing.plain(np.repeat(large_HW[shown][..., None], 3, axis=2)),
            caption=f"error {errors_THW.mean():.3f}",
        ),
    )
