"""Planted caches: drawn scenes, whose facts stand in the features of each point in a form and a geometry of its own."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Self

import numpy as np

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.points import PIXELS, computation_order
from foresight_cache.reader import Cache, open_cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter, ShardWriter
from foresight_probes.calibration.facts import SUBJECTS, Facts, Subject, facts_about
from foresight_probes.calibration.forms import FORMS, Form, shaped
from foresight_probes.calibration.geometries import GEOMETRIES, PLAIN, Geometry, embed, frame
from foresight_probes.calibration.scenes import SIZE, Clip, Scene, World, draw, grid_of, pixel_grid
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import SIDES, side_of

SAMPLES_PER_SHARD = 64


@dataclass(frozen=True, slots=True)
class PlantedPoint:
    """What a planted point holds.

    >>> str(PlantedPoint("objects", "snr", "llm")), str(PlantedPoint("objects", "linear"))
    ('objects.snr.llm', 'objects.linear')
    """

    subject: Subject
    form: Form = "linear"
    geometry: str = ""
    """One of `GEOMETRIES`; empty for plain coordinates."""

    def __str__(self) -> str:
        """Name of the point in its cache."""
        return ".".join(part for part in (self.subject, self.form, self.geometry) if part)

    @classmethod
    def parse(cls, name: str) -> Self:
        """Returns the point of a name. Raises `ValueError` for a name that no planted point has."""
        parts = name.split(".")
        known = (SUBJECTS, FORMS, (*GEOMETRIES, ""))
        if not 2 <= len(parts) <= 3 or not all(part in names for part, names in zip(parts, known, strict=False)):
            raise ValueError(f"{name!r} is no planted point, expected subject.form or subject.form.geometry")
        return cls(*parts)  # type: ignore[arg-type]

    @property
    def coordinates(self) -> Geometry:
        """Geometry of the features."""
        return GEOMETRIES[self.geometry] if self.geometry else PLAIN


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedCache:
    """A planted cache: its samples, which are the same for equal numbers and seed, on one grid.

    Test and validation samples do not depend on how many train.
    """

    world: World
    train: int = 700
    """Samples that train; the hash of a sample's group decides on which side it is, and groups are named for that."""
    validation: int = 150
    test: int = 1000
    seed: int = 0
    rows: int
    """Rows and columns of the grid on which the tokens of all points lie."""

    @property
    def grid(self) -> Grid:
        """Grid of the tokens."""
        return grid_of(self.world, self.rows)

    def numbers(self, side: str) -> list[int]:
        """Returns the numbers of the samples that train, that select (`validation`) or that are reported (`test`)."""
        size = {"train": self.train, "validation": self.validation, "test": self.test}[side]
        return list(islice(_numbers_on(side), size))

    def place(self, folder: Path) -> Path:
        """Returns the folder of the cache, whose name tells what it is and that it was made by this code."""
        return folder / f"{self.world}-{self.train}-{self.rows}x{self.rows}-{self._digest()[:12]}"

    def write(self, folder: Path, points: Sequence[str], advance: Advance = silent) -> Cache:
        """Writes the points that the cache lacks, and its pixels, and opens it. Several processes may do so at once.

        Args:
            folder: Folder of planted caches.
            points: Names of `PlantedPoint`s.
            advance: Called for each shard with its numbers of samples and of bytes.
        """
        names = (*points, PIXELS)
        numbers = [number for side in SIDES for number in self.numbers(side)]
        layout = self._layout([PlantedPoint.parse(name) for name in points], len(numbers))
        with CacheWriter(self.place(folder), layout) as writer:
            is_first_look = True
            while is_first_look or writer.wait_for_others(names):
                is_first_look = False
                for pending in writer.pending(names):
                    start = pending.number * SAMPLES_PER_SHARD
                    with writer.shard(pending) as shard:
                        self._write_shard(shard, numbers[start : start + SAMPLES_PER_SHARD], pending.points)
                        advance(layout.shards[pending.number].samples, shard.size)
        return open_cache(self.place(folder))

    def _digest(self) -> str:
        parts = [*sorted(f"{name} {value}" for name, value in asdict(self).items()), _source_digest()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _layout(self, points: Sequence[PlantedPoint], samples: int) -> CacheLayout:
        digest, pixels = self._digest(), pixel_grid(self.world)
        sizes = [min(SAMPLES_PER_SHARD, samples - first) for first in range(0, samples, SAMPLES_PER_SHARD)]
        arrays = {
            **{str(point): self._point_layout(point) for point in points},
            PIXELS: PointLayout.fixed("pixel", "uint8", pixels.tokens, 3),
        }
        return CacheLayout(
            fingerprint={
                "model": {"name": "planted", "weights": "none", "dtype": "bfloat16"},
                "dataset": {"name": f"planted-{self.world}"},
                "input": {"size": f"{pixels.h}x{pixels.w}"},
                "planted": {**asdict(self), "digest": digest},
            },
            samples_per_shard=SAMPLES_PER_SHARD,
            shards=tuple(
                ShardSource(name=f"{n}.tar", sha256=hashlib.sha256(f"{digest} {n}".encode()).hexdigest(), samples=size)
                for n, size in enumerate(sizes)
            ),
            points={name: arrays[name] for name in sorted(arrays, key=computation_order)},
        )

    def _point_layout(self, point: PlantedPoint) -> PointLayout:
        coordinates = point.coordinates
        return PointLayout.fixed("patch", coordinates.dtype, self.grid.tokens, coordinates.width)

    def drawn(self, numbers: Sequence[int]) -> list[Scene | Clip]:
        """Draws the scenes or clips of these numbers."""
        return [draw(self.world, self.seed, number) for number in numbers]

    def facts(self, point: PlantedPoint, drawn: Sequence[Scene | Clip]) -> Facts:
        """Returns the facts that a point's tokens carry about scenes or clips."""
        return facts_about(point.subject, drawn, self.grid)

    def shaped(self, point: PlantedPoint, facts: Facts, numbers: Sequence[int]) -> np.ndarray:
        """Returns facts in the form of a point, [B, N, F] float64, the same in every geometry."""
        return shaped(facts, point.form, _generators(f"{point.subject} {point.form}", self.seed, numbers))

    def features(self, point: PlantedPoint, facts: Facts, numbers: Sequence[int]) -> np.ndarray:
        """Returns the features of a point, [B, N, D] in its stored type, from the facts about the samples' numbers."""
        values_BNF = self.shaped(point, facts, numbers)
        axes = frame(values_BNF.shape[2], point.coordinates.width, self.seed)
        features_BND = embed(values_BNF, point.coordinates, axes, _generators(str(point), self.seed, numbers))
        return features_BND.astype(self._point_layout(point).numpy_dtype)

    def _write_shard(self, shard: ShardWriter, numbers: Sequence[int], names: Sequence[str]) -> None:
        drawn = self.drawn(numbers)
        facts: dict[Subject, Facts] = {}
        for name in names:
            if name == PIXELS:
                arrays = np.stack([scene.pixels.reshape(-1, 3) for scene in drawn])
            else:
                point = PlantedPoint.parse(name)
                known = facts.setdefault(point.subject, facts.get(point.subject) or self.facts(point, drawn))
                arrays = self.features(point, known, numbers)
            for position, tokens_ND in enumerate(arrays):
                shard.add(position, name, tokens_ND)
        shard.commit([self._row(scene, number) for scene, number in zip(drawn, numbers, strict=True)])

    def _row(self, scene: Scene | Clip, number: int) -> SampleRow:
        name, grid = f"{number:06d}", pixel_grid(self.world)
        is_clip = isinstance(scene, Clip)
        sample = Sample(
            id=f"planted-{self.world}/train/{name}",
            dataset=f"planted-{self.world}",
            split="train",
            group=group_name(number),
            media="clip" if is_clip else "image",
            file_name=f"{name}.{'mp4' if is_clip else 'png'}",
            width=SIZE,
            height=SIZE,
            frames=grid.t,
            annotations=scene.annotations(),
        )
        return SampleRow(
            sample=sample,
            status="ok",
            reason=None,
            grids={"pixel": grid, "patch": self.grid},
            frames=tuple(range(grid.t)),
        )


def group_name(number: int) -> str:
    """Returns the name of the group of a sample number, which is a group of its own."""
    return f"planted-{number:06d}"


def _numbers_on(side: str) -> Iterator[int]:
    """Yields the numbers of the samples that the split by hash puts on a side, in rising order."""
    shares = TrainingOptions()
    for number in count():
        name = group_name(number)
        if side_of(name, train_share=shares.train_share, validation_share=shares.validation_share) == side:
            yield number


def _generators(purpose: str, seed: int, numbers: Sequence[int]) -> list[np.random.Generator]:
    """Returns a generator for each sample, which no other sample, purpose or seed shares."""
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    return [np.random.default_rng([key, seed, number]) for number in numbers]


def _source_digest() -> str:
    """Returns the digest of the code that plants, so that a cache of other code is not taken for this one."""
    folder = Path(__file__).parent
    names = ("scenes.py", "facts.py", "forms.py", "geometries.py", "planted.py")
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in names)).hexdigest()
