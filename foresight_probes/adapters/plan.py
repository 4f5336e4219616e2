"""What is to be trained: which adapters on which points, checked before anything is."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from foresight_cache import records
from foresight_cache.errors import UsageError
from foresight_probes.adapters import networks
from foresight_probes.adapters.aligned import Aligned, PointOf
from foresight_probes.adapters.networks.layers.base import Shape
from foresight_probes.features.sources import POINT_SEPARATOR
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split, folded, require_apart, split_rows

VERSION = 1
"""Of what is trained; to be changed together with it, so that older weights are not taken for newer ones."""
OPTIONS = TrainingOptions(epochs=100, batch_size=16, weight_decay=0.05, patience=20)
"""Options of training where none are given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterRequest:
    """What a user asks for."""

    adapters: tuple[str, ...]
    points: tuple[str, ...]
    """Elements of `--points`, as `Aligned.parse` reads them."""
    capacities: tuple[float, ...] = (1.0,)
    """Millions of parameters."""
    seeds: tuple[int, ...] = (0,)
    options: TrainingOptions = field(default=OPTIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterRun:
    """One adapter, of one capacity, on the points that it takes."""

    adapter: str
    points: tuple[PointOf, ...]
    capacity: float
    seed: int
    left_out: int | None = None
    """Number of the stream that it is made without, from 0, to measure what that one adds; None for none."""
    width: int = 0
    parameters: int = 0

    @property
    def point(self) -> str:
        """The points in one text, as on the command line."""
        return POINT_SEPARATOR.join(map(str, self.points))

    @property
    def name(self) -> str:
        """Name in a folder of its points.

        >>> AdapterRun(adapter="mlp", points=(PointOf(0, "vit.block_01"),), capacity=1.0, seed=0).name
        'mlp-1M-seed0'
        """
        without = "" if self.left_out is None else f"-without-{self.left_out + 1}"
        return f"{self.adapter}-{self.capacity:g}M{without}-seed{self.seed}"

    @property
    def title(self) -> str:
        """The points as a table shows them, without the one that is left out."""
        kept = [str(point) for number, point in enumerate(self.points) if number != self.left_out]
        return POINT_SEPARATOR.join(kept)

    def path(self, out: Path) -> Path:
        """Returns the path of its result."""
        return out / self.point.replace(":", "-") / f"{self.name}.json"


@dataclass(frozen=True)
class AdapterPlan:
    """Runs on joined caches. Raises `UnknownName` and `UsageError` for what cannot be trained."""

    aligned: Aligned
    request: AdapterRequest
    out: Path

    def __post_init__(self) -> None:
        for run in self.runs:
            self.shape(run)
        for split in self.splits:
            require_apart(split, self.groups)

    @cached_property
    def runs(self) -> tuple[AdapterRun, ...]:
        """All runs, those that leave a stream out behind the whole one."""
        request = self.request
        adapters = networks.resolve(request.adapters)
        sets = list(dict.fromkeys(points for text in request.points for points in self.aligned.parse(text)))
        found = [
            AdapterRun(adapter=name, points=points, capacity=capacity, seed=seed, left_out=left_out)
            for points in sets
            for name in adapters
            if _takes(name, points)
            for capacity in request.capacities
            for seed in request.seeds
            for left_out in (None, *(range(len(points)) if networks.load(name).leaves_out else ()))
        ]
        _check_all_used(adapters, sets, found)
        return tuple(map(self._sized, found))

    def _sized(self, run: AdapterRun) -> AdapterRun:
        shape = self.shape(run)
        width = networks.width_for(run.adapter, shape, run.capacity)
        return replace(run, width=width, parameters=networks.parameters_of(run.adapter, shape, width))

    def shape(self, run: AdapterRun) -> Shape:
        """Returns what the adapter of a run is made for. Raises `UsageError` for samples of several grids."""
        return Shape(
            streams=tuple(self.aligned.stream(point) for point in run.points),
            latent=self.aligned.lattice,
            channels=self.aligned.channels,
            left_out=run.left_out,
        )

    @cached_property
    def groups(self) -> list[str]:
        """Group of each joined sample."""
        return [row["group"] for row in self.aligned.samples]

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        """One split, or one for each fold. Raises `ProbeError` where a side would be empty."""
        options = self.request.options
        ids = [row["id"] for row in self.aligned.samples]
        shares = {"train_share": options.train_share, "validation_share": options.validation_share}
        rows = range(len(ids))
        if not options.folds:
            return (split_rows(rows, ids, self.groups, **shares),)
        count = options.folds
        return tuple(folded(rows, ids, self.groups, fold=fold, folds=count, **shares) for fold in range(count))

    def identity(self, run: AdapterRun, fold: int | None = None) -> dict[str, Any]:
        """Returns all that decides a run's weights, JSON values; of one fold, or of all of them."""
        splits = self.splits if fold is None else self.splits[fold : fold + 1]
        return {
            "version": VERSION,
            "adapter": run.adapter,
            "points": [str(point) for point in run.points],
            "capacity": run.capacity,
            "width": run.width,
            "left_out": run.left_out,
            "seed": run.seed,
            "tokens": [self.aligned.tokens[point.cache].digest for point in run.points],
            "latents": self.aligned.latents.digest,
            "splits": [split.digest for split in splits],
            "options": self.request.options.recipe(),
        }

    def digest(self, run: AdapterRun, fold: int | None = None) -> str:
        """Returns the digest of `identity`."""
        return records.digest(self.identity(run, fold))


def _takes(name: str, points: Sequence[PointOf]) -> bool:
    least, most = networks.load(name).points
    apart = len({point.cache for point in points}) == len(points)
    return least <= len(points) <= most and (apart or not networks.load(name).from_several_caches)


def _check_all_used(adapters: Sequence[str], sets: Sequence[Sequence[PointOf]], runs: Sequence[AdapterRun]) -> None:
    """Raises `UsageError` for an adapter without points that it takes, and for points that no adapter takes."""
    for name in adapters:
        if name not in {run.adapter for run in runs}:
            own = networks.load(name)
            least, most = own.points
            count = f"{least}" if least == most else f"{least} to {most}"
            where = " of different caches" if own.from_several_caches else ""
            example = "vit.pre_merge" if most == 1 else f"vit.pre_merge+{'2:' * own.from_several_caches}vit.block_06"
            raise UsageError(
                f"{name} takes {count} point{'s' * (most > 1)}{where}, and --points names none such; write it as "
                f"{example}"
            )
    for points in sets:
        if tuple(points) not in {run.points for run in runs}:
            text = POINT_SEPARATOR.join(map(str, points))
            raise UsageError(
                f"{text} has {len(points)} point{'s' * (len(points) > 1)}, which none of {', '.join(adapters)} takes; "
                "leave it out, or name another --adapter"
            )
