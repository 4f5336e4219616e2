"""Masks of objects passed on from the first frame of a clip to the others by nearest tokens, as on DAVIS."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.geometry import shown
from foresight_cache.points import LABELS, PIXELS
from foresight_cache.reader import Cache
from foresight_probes.predictions import drawing
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Picture, Pictures, Table
from foresight_probes.studies.sample_means import ratio_of
from foresight_probes.studies.sampled_tokens import choose_rows, dense_points
from foresight_probes.studies.study import SectionRequest
from foresight_probes.training_free.mask_scores import object_scores
from foresight_probes.training_free.propagation import PropagationOptions, labels_at_centres, masks_of, propagate

SAMPLES = 100
"""Clips that are read, unless the study names another number; DAVIS 2017 has 30 for validation."""
RANKS = {"worst": 0.0, "median": 0.5, "best": 1.0}
_RULE = PropagationOptions()


class Section(sections.Section):
    """Scores `points` of `datasets` of clips with dense labels, such as DAVIS 2017; nothing is trained.

    Of groups of clips one is read, chosen by hash.
    """

    reads_caches_alone = True
    needs = ("datasets", "points")
    takes = ("samples",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table, and pictures at the last point. Raises `ProbeError` where there are no such clips."""
        rows: list[tuple[Cell, ...]] = []
        pictures: list[Part] = []
        reason = f"no cache of {', '.join(request.datasets)} was given that has {', '.join(request.points)}"
        for name in request.datasets:
            cache = evidence.caches.get(name)
            points = dense_points(cache, request.points) if cache else []
            if cache is None or not points:
                continue
            chosen = [row for row in choose_rows(cache, request.samples or SAMPLES) if objects_of(cache, row).size]
            if not chosen:
                reason = f"{cache.path} has no clip whose first frame has masks of objects; extract them as {LABELS}"
                continue
            found = {point: [passed_on(cache, point, row) for row in chosen] for point in points}
            groups = [str(cache.rows[row]["group"]) for row in chosen]
            rows += [(name, point, *_row(clips, groups)) for point, clips in found.items()]
            pictures += _pictures(cache, points[-1], chosen, found[points[-1]])
        if not rows:
            raise ProbeError(reason)
        return [Table(columns=_COLUMNS, rows=tuple(rows), note=_NOTE), *pictures]


_COLUMNS = ("dataset", "point", "clips", "objects", "J&F", "J", "F", "J of tokens", "J&F of the first mask", "gain")
_NOTE = (
    f"Each token takes the objects of its {_RULE.neighbours} nearest tokens, by cosine, in the first time step and the "
    f"{_RULE.steps} before it, at most {_RULE.radius} rows and columns away, with the weight exp(cosine / "
    f"{_RULE.temperature:g}), as DINO is evaluated (Caron et al. 2021). J is the overlap of a mask with the true one, "
    "F the agreement of contours, both at the size of the input and over the frames after the first time step; J of "
    "tokens is that of the labels in the middles of cells. Means are over all objects. J&F of the first mask is that "
    "where it stays as it is; the gain is what passing it on adds. 95 % intervals are of clips drawn again."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """What became of the masks of a clip."""

    masks_FHW: np.ndarray
    """Object of each pixel of the shown part of the frames after the first time step, int."""
    truth_FHW: np.ndarray
    scores_K5: np.ndarray
    """J and F of each object, J of its tokens, and J and F of the first mask left where it is, float64."""


def objects_of(cache: Cache, row: int) -> np.ndarray:
    """Returns the numbers of the objects in the first frame of a clip, int [K]; none where there are no labels."""
    if LABELS not in cache or not cache.rows[row]["annotations"].get("labels"):
        return np.zeros(0, int)
    labels_THW = _labels(cache, row)
    return np.unique(labels_THW[0][labels_THW[0] > 0]) if len(labels_THW) > 1 else np.zeros(0, int)


def _labels(cache: Cache, row: int) -> np.ndarray:
    """Returns the number of the object in each pixel of the input, int64 [T, H, W]; 0 is none and where none counts."""
    labels_THW = np.asarray(cache[LABELS].stored(row)).reshape(cache[LABELS].grid_of(row)).astype(np.int64)
    ignore = cache.rows[row]["annotations"]["labels"].get("ignore")
    return labels_THW if ignore is None else np.where(labels_THW == ignore, 0, labels_THW)


def passed_on(cache: Cache, point: str, row: int) -> Passed:
    """Passes the masks of the first frame of a clip on by the tokens of a point, and scores them."""
    tokens_THWD = cache[point].grid(row)
    labels_FHW, objects = _labels(cache, row), objects_of(cache, row)
    steps, height, width = tokens_THWD.shape[:3]
    numbers = np.concatenate([[0], objects])
    first_HW = labels_at_centres(labels_FHW[0], height, width)
    shares_THWK = propagate(tokens_THWD, (first_HW[..., None] == numbers).astype(float))
    step_F = np.arange(len(labels_FHW)) * steps // len(labels_FHW)
    later = np.flatnonzero(step_F > 0)
    rows, columns = shown(cache.rows[row])
    size = (labels_FHW.shape[1], labels_FHW.shape[2])
    masks_THW = np.stack([numbers[masks_of(shares_HWK, size)] for shares_HWK in shares_THWK])
    masks_FHW, truth_FHW = (labels[:, rows, columns] for labels in (masks_THW[step_F[later]], labels_FHW[later]))
    still_FHW = np.broadcast_to(masks_THW[0][rows, columns], truth_FHW.shape)
    tokens_FHW = numbers[shares_THWK.argmax(-1)][step_F[later]]
    true_FHW = np.stack([labels_at_centres(labels_FHW[frame], height, width) for frame in later])
    parts = [
        object_scores(masks_FHW, truth_FHW, objects),
        object_scores(tokens_FHW, true_FHW, objects)[:, :1],
        object_scores(still_FHW, truth_FHW, objects),
    ]
    return Passed(masks_FHW=masks_FHW, truth_FHW=truth_FHW, scores_K5=np.concatenate(parts, axis=1))


def _row(clips: Sequence[Passed], groups: Sequence[str]) -> tuple[Cell, ...]:
    """Returns the numbers of clips and objects, and means over objects."""
    j, f, of_tokens, still_j, still_f = range(5)
    weights = {"both": {j: 0.5, f: 0.5}, "J": {j: 1.0}, "F": {f: 1.0}, "tokens": {of_tokens: 1.0}}
    weights["still"] = {still_j: 0.5, still_f: 0.5}
    weights["gain"] = weights["both"] | {still_j: -0.5, still_f: -0.5}
    sums_S5 = np.stack([clip.scores_K5.sum(0) for clip in clips])
    counts_S = np.array([float(len(clip.scores_K5)) for clip in clips])
    cells = [
        ratio_of(np.stack([sum(share * sums_S5[:, part] for part, share in own.items()), counts_S], axis=1), groups)
        for own in weights.values()
    ]
    return (len(clips), int(counts_S.sum()), *cells)


def _pictures(cache: Cache, point: str, chosen: Sequence[int], clips: Sequence[Passed]) -> list[Part]:
    """Returns the last frames of the worst, the median and the best clip; none for a cache without pixels."""
    if PIXELS not in cache:
        return []
    quality = {number: float(clip.scores_K5[:, :2].mean()) for number, clip in enumerate(clips)}
    ranked = sorted(quality, key=lambda number: (quality[number], str(cache.rows[chosen[number]]["id"])))
    shown_rows: dict[str, tuple[Picture, ...]] = {}
    for name, rank in RANKS.items():
        number = ranked[round(rank * (len(ranked) - 1))]
        row, clip = chosen[number], clips[number]
        frames = np.asarray(cache[PIXELS].stored(row)).reshape(*cache[PIXELS].grid_of(row), -1)
        last_HWC = frames[-1][shown(cache.rows[row])]
        shown_rows[f"{name}: {cache.rows[row]['id']}"] = (
            Picture(pixels=drawing.class_map(last_HWC, clip.truth_FHW[-1]), caption="true, last frame"),
            Picture(
                pixels=drawing.class_map(last_HWC, clip.masks_FHW[-1]), caption=f"found, J&F {quality[number]:.3f}"
            ),
        )
    note = "Each object has a colour of its own. The number is the mean of J and F over the clip's objects."
    return [Pictures(title=f"Masks passed on at {point}", rows=shown_rows, note=note)]
