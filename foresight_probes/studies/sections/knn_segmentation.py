"""Classes of tokens by the votes of the nearest tokens of a few other pictures: segmentation without training."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.metrics import segmentation_metrics
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import side_of
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table
from foresight_probes.studies.sampled_tokens import dense_points
from foresight_probes.studies.study import SectionRequest
from foresight_probes.studies.token_classes import TokenClasses
from foresight_probes.sweeps.targets import usable_rows
from foresight_probes.tasks.kinds.cell_means import evenly
from foresight_probes.training_free.token_memory import NEIGHBOURS, TEMPERATURE, TokenMemory

SAMPLES = 100
"""Test samples, unless the study names another number."""
SHOTS = (1, 4, 16, 64)
"""Training samples whose tokens are kept, unless the study names others as `values`."""
MEMORY = 16384
"""Tokens that are kept, at most."""
PLACES = 8
"""Rows and columns of the map of the likeliest class at each place."""


class Section(sections.Section):
    """Scores `points` of `datasets` with boxes or dense labels, by the classes of the task `patch-class`.

    `values` are numbers of training samples. The sides are those of probes; samples, one of each group, are chosen by
    hash, so that more samples have those of fewer among them.
    """

    reads_caches_alone = True
    needs = ("datasets", "points")
    takes = ("samples", "values")

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table. Raises `ProbeError` where no dataset has points and classes."""
        rows: list[tuple[Cell, ...]] = []
        reason = f"no cache of {', '.join(request.datasets)} was given that has {', '.join(request.points)}"
        shots = [int(value) for value in request.values] or list(SHOTS)
        if min(shots) < 1:
            raise ProbeError(f"values are numbers of training samples, expected at least 1, not {min(shots)}")
        for name in request.datasets:
            cache = evidence.caches.get(name)
            points = dense_points(cache, request.points) if cache else []
            if cache is None or not points:
                continue
            try:
                pictures = _Pictures(cache, max(shots), request.samples or SAMPLES)
            except ProbeError as error:
                reason = str(error)
                continue
            for point in points:
                rows += [(name, point, *row) for row in scores(pictures, point, shots)]
        if not rows:
            raise ProbeError(reason)
        return [Table(columns=_COLUMNS, rows=tuple(rows), note=_NOTE)]


_COLUMNS = (
    *("dataset", "point", "pictures", "tokens", "classes", "test samples"),
    *("mIoU", "accuracy", "mIoU from the place"),
)
_NOTE = (
    f"Each token of the test samples has the class for which its {NEIGHBOURS} nearest tokens of so many training "
    f"pictures vote, by cosine, each with the weight exp(cosine / {TEMPERATURE:g}). Nothing is trained. Classes are "
    "those of patches; one that no kept token has is always missed, which mIoU counts. From the place is what the "
    "likeliest class at each place of the same pictures tells. 95 % intervals are of test samples drawn again; they do "
    "not count other training pictures."
)


class _Pictures:
    """The samples that are kept and those that are tested."""

    def __init__(self, cache: Cache, shots: int, most: int) -> None:
        """Raises `ProbeError` where a side has no sample with classes."""
        self.cache = cache
        rows = usable_rows(cache)
        self.classes = TokenClasses(cache, rows)
        if self.classes.missing:
            raise ProbeError(f"{cache.path} has no classes of tokens: {self.classes.missing}")
        options = TrainingOptions()
        sides: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
        for row in rows:
            group = str(cache.rows[row]["group"])
            shares = {"train_share": options.train_share, "validation_share": options.validation_share}
            if self.classes.has(row):
                sides[side_of(group, **shares)].append(row)
        for side in ("train", "test"):
            if not sides[side]:
                raise ProbeError(f"{cache.path} has no sample with classes on the {side} side; extract more samples")
        self.train = _in_order(cache, sides["train"], shots)
        self.test = _in_order(cache, sides["test"], most)


def _in_order(cache: Cache, rows: Sequence[int], most: int) -> list[int]:
    """Returns rows of one sample of each group, of so many at most, in the order of their hashes."""
    names = {row: f"memory {cache.rows[row]['group']} {cache.rows[row]['id']}" for row in rows}
    one_of: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: hashlib.sha256(names[row].encode()).digest()):
        one_of.setdefault(str(cache.rows[row]["group"]), row)
    return list(one_of.values())[:most]


def scores(pictures: _Pictures, point: str, shots: Sequence[int]) -> list[tuple[Cell, ...]]:
    """Returns a row for each number of training samples that there are."""
    cache = pictures.cache
    grids = {row: cache[point].grid_of(row) for row in (*pictures.train, *pictures.test)}
    classes = {row: pictures.classes.of(row, grid) for row, grid in grids.items()}
    count = 1 + max(int(classes_N.max(initial=0)) for classes_N in classes.values())
    given = dict.fromkeys(min(shot, len(pictures.train)) for shot in shots)
    memories = {shot: _memory(cache, point, pictures.train[:shot], classes) for shot in given}
    memories = {shot: memory for shot, memory in memories.items() if len(memory.classes_M)}
    places = {
        shot: PlaceMap.of([(classes[row], grids[row]) for row in pictures.train[:shot]], count) for shot in memories
    }
    told: dict[int, list[np.ndarray]] = {shot: [] for shot in memories}
    for row in pictures.test:
        tokens_ND = cache[point][row].astype(np.float32)
        for shot, memory in memories.items():
            told[shot].append(memory.votes(tokens_ND, count).argmax(1))
    groups, truths = [str(cache.rows[row]["group"]) for row in pictures.test], [classes[row] for row in pictures.test]
    found: list[tuple[Cell, ...]] = []
    for shot, memory in memories.items():
        placed = [places[shot].at(grids[row]) for row in pictures.test]
        own, of_place = (_intervals(maps, truths, groups) for maps in (told[shot], placed))
        head = (shot, len(memory.classes_M), len(set(memory.classes_M.tolist())), len(pictures.test))
        found.append((*head, own["miou"], own["accuracy"], of_place["miou"]))
    return found


def _memory(cache: Cache, point: str, rows: Sequence[int], classes: Mapping[int, np.ndarray]) -> TokenMemory:
    """Keeps tokens that are evenly spaced among those of each sample whose class is known."""
    tokens, own = [], []
    for row in rows:
        kept = evenly(np.flatnonzero(classes[row] >= 0).tolist(), max(1, MEMORY // len(rows)))
        tokens.append(cache[point][row][kept].astype(np.float32))
        own.append(classes[row][kept])
    return TokenMemory.of(np.concatenate(tokens), np.concatenate(own))


def _intervals(maps: Sequence[np.ndarray], truths: Sequence[np.ndarray], groups: Sequence[str]) -> Mapping[str, Cell]:
    counts = [segmentation_metrics.class_counts(own, truth) for own, truth in zip(maps, truths, strict=True)]
    missing: dict[str, Cell] = dict.fromkeys(("miou", "accuracy"), "not measured: no token has a class")
    return missing | bootstrap(counts, groups, segmentation_metrics.summary)


class PlaceMap:
    """The likeliest class at each of `PLACES` × `PLACES` places; where none is known, the likeliest of all."""

    def __init__(self, classes_P: np.ndarray) -> None:
        self._classes_P = classes_P

    @classmethod
    def of(cls, maps: Sequence[tuple[np.ndarray, Grid]], classes: int) -> "PlaceMap":
        """Counts the classes of tokens, int [N], of some grids."""
        counts_PC = np.zeros((PLACES * PLACES, classes))
        for classes_N, grid in maps:
            known = classes_N >= 0
            np.add.at(counts_PC, (_places(grid)[known], classes_N[known]), 1)
        counts_PC += 1e-9 * counts_PC.sum(0)
        return cls(counts_PC.argmax(1))

    def at(self, grid: Grid) -> np.ndarray:
        """Returns the class of each token of a grid, int64 [N]."""
        found: np.ndarray = self._classes_P[_places(grid)]
        return found


def _places(grid: Grid) -> np.ndarray:
    """Returns the number of the place in which the centre of each token lies, int [N]."""
    rows, columns = (((np.arange(size) + 0.5) / size * PLACES).astype(int) for size in grid[1:])
    return np.tile((rows[:, None] * PLACES + columns).ravel(), grid.t)
