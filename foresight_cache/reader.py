"""The door for notebooks: `open_cache(path)`. It imports no torch, and sees committed shards only.

cache = open_cache("caches/coco-448")
cache["vit.block_08"][7]            # float32 [N, D], raster order
"""

import os
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foresight_cache.answer_columns import ANSWER_COLUMNS, AnswerColumns
from foresight_cache.cached_point import CachedPoint
from foresight_cache.display import as_html, as_text, input_words
from foresight_cache.errors import CacheError, CorruptCache, NotACache, UnknownName, UsageError
from foresight_cache.format import layout
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import raw_size
from foresight_cache.format.metadata import read_root
from foresight_cache.format.stores import Store, open_store
from foresight_cache.points import LABELS, PIXELS, aliases, resolve
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.sample_selection import SampleNumbers, Selection
from foresight_cache.sample_table import COLUMNS, SampleTableRow, grid_on, table_rows
from foresight_cache.samples import Grid
from foresight_cache.shard_statistics import STATISTICS, statistics_rows
from foresight_cache.token_order import described

if TYPE_CHECKING:
    import pandas as pd
    import torch
    import xarray as xr
    import zarr

    from foresight_cache.torch_dataset import CacheDataset, Target


def open_cache(place: str | os.PathLike[str], *, answers: str | os.PathLike[str] | None = None) -> "Cache":
    """Opens a cache in a local directory or an object store (`s3://bucket/prefix`).

    `answers` is a file of answers of a model, judged or not (`foresight answers`, `foresight judge`), or a folder of
    such: what they say of a sample is then in its `annotations["qa"]` and in columns of `samples`. Raises `NotACache`,
    `UnsupportedFormat`, `CorruptCache`, and `AnswersError` for answers that cannot be used.
    """
    return Cache(open_store(place), answers=None if answers is None else AnswerColumns.read(os.fspath(answers)))


@lru_cache(maxsize=4)
def _sent(
    place: str, digest: str, shards: tuple[int, ...], arrays: tuple[str, ...], answers: tuple[str, str] | None
) -> "Cache":
    """Opens a cache that another process sent, with the shards it had there; once for all that is sent of it."""
    cache = Cache(open_store(place), shards, AnswerColumns.sent(*answers) if answers else None)
    if cache.digest != digest or not set(arrays) <= set(cache.arrays):
        raise CacheError(f"{place} holds another cache here than where it was sent from; give the same place to both")
    return cache


class Cache:
    """A cache as it stood when it was opened. Its samples are those of the shards that are committed.

    Sent to another process it is its place and the numbers of these shards, and is opened there.
    """

    def __init__(self, store: Store, shards: Sequence[int] | None = None, answers: AnswerColumns | None = None) -> None:
        """Opens the cache in a store, with these of its shards, or all that are committed, and perhaps answers."""
        self.store, self.path, self._shards = store, store.place, shards
        self.answers = answers
        """Answers of a model to the samples' questions, if it was opened with some."""
        try:
            root = store.read(layout.ROOT_KEY)
        except (FileNotFoundError, NotADirectoryError):
            raise NotACache(
                f"{store.place} holds no cache: it has no {layout.ROOT_KEY}; make one with 'foresight extract'"
            ) from None
        self.layout = read_root(root, store.place)
        self.digest = self.layout.digest
        """SHA-256 of the fingerprint, hexadecimal: what the features were made from and how."""
        self.fingerprint = dict(self.layout.fingerprint)

    @cached_property
    def commits(self) -> tuple[Commit, ...]:
        """Records of the committed shards, in order. Raises `CorruptCache`.

        Shards that were added to the cache since it was opened are not among them.
        """
        if self._shards is not None:
            return self._read_commits(map(layout.commit_key, self._shards))
        there = set(self.store.names(layout.SAMPLES))
        keys = map(layout.commit_key, range(len(self.layout.shards)))
        return self._read_commits(key for key in keys if key.removeprefix(f"{layout.SAMPLES}/") in there)

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """Names of all that every committed shard has: the points, pictures that the model made, and dense `labels`."""
        return tuple(name for name in self.layout.points if all(name in commit.objects for commit in self.commits))

    @cached_property
    def points(self) -> tuple[str, ...]:
        """Names of the points that every committed shard has, in the order of computation."""
        return tuple(name for name in self.arrays if name == PIXELS or self.layout.points[name].level != "pixel")

    @cached_property
    def samples(self) -> "pd.DataFrame":
        """One row per committed sample; row i belongs to `cache[point][i]`.

        Columns: `id dataset split group media file_name width height annotations frames frames_per_second` of the
        sample, `status` (`ok` or `bad`), `reason`, one grid (t, h, w) per level (`grid_pixel`, `grid_patch`,
        `grid_merged`, `grid_text`), of clips `frame_indices` (the frames that were taken), `frame_times` (seconds at
        which they are shown) and `reversed` (whether it was played backwards), `shard`, and `slot`, the index on the
        first axis of the arrays; opened with answers, also those of `ANSWER_COLUMNS`.
        """
        import pandas as pd

        if self.answers is None:
            return pd.DataFrame(self.rows, columns=COLUMNS)
        return pd.DataFrame(map(self.answers.with_columns, self.rows), columns=[*COLUMNS, *ANSWER_COLUMNS])

    @cached_property
    def rows(self) -> list[SampleTableRow]:
        """The rows of `samples` as plain mappings; a row lookup in pandas costs more than reading a token array."""
        fit = self.fingerprint["input"].get("fit", "stretch")
        per_shard = self.layout.samples_per_shard
        rows = [row for commit in self.commits for row in table_rows(commit, commit.shard * per_shard, fit)]
        return self.answers.joined(rows, self.path) if self.answers else rows

    @cached_property
    def numbers(self) -> SampleNumbers:
        """Numbers of the samples, by all ways in which they can be named."""
        return SampleNumbers([row["id"] for row in self.rows])

    @cached_property
    def grids(self) -> Mapping[layout.Level, frozenset[Grid]]:
        """The grids that good samples have, by kind of token."""
        good = [row for row in self.rows if row["status"] == "ok"]
        return {level: frozenset(filter(None, {grid_on(row, level) for row in good})) for level in layout.LEVELS}

    def __getitem__(self, point: str) -> CachedPoint:
        """Returns a point's array, unread, by its name or alias (`E4`). Raises `UnknownName` and `UsageError`."""
        if not isinstance(point, str):
            raise UsageError(f"{point!r} is no name of a point, expected one of cache.keys() or an alias such as 'E4'")
        names = (point,) if point in self.arrays else self._meant(point)
        if len(names) > 1:
            raise UsageError(f"{point!r} names {len(names)} points, expected one of them: {', '.join(names)}")
        return CachedPoint(self, names[0])

    def _meant(self, point: str) -> tuple[str, ...]:
        """Returns the points that an alias, set or pattern means. Raises `UnknownName`."""
        try:
            return self.select([point])
        except UnknownName:
            short = [
                alias for alias, tap in aliases(self.fingerprint["model"].get("taps", ())).items() if tap in self.arrays
            ]
            raise UnknownName("point of this cache", point, [*self.arrays, *short]) from None

    def select(self, texts: Sequence[str], among: Sequence[str] | None = None) -> tuple[str, ...]:
        """Returns the points that names, aliases (`E4`), sets or patterns mean here, in the order of computation.

        Aliases keep their fraction of the model's depth, whichever of its points are cached. `among` are the points to
        choose from, all that every committed shard has unless told otherwise. Raises `UnknownName`.
        """
        points = self.points if among is None else [name for name in among if name != LABELS]
        taps = [*self.fingerprint["model"].get("taps", points), PIXELS]
        chosen: set[str] = set()
        for text in texts:
            named = {PIXELS} if text == PIXELS else {str(point) for point in resolve([text], taps)}
            if not named & set(points):
                raise UnknownName("point of this cache", text, points)
            chosen |= named & set(points)
        return tuple(name for name in points if name in chosen)

    def __contains__(self, point: object) -> bool:
        """Tells whether `cache[point]` is an array."""
        try:
            self[point]  # type: ignore[index]
        except UsageError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        """Yields the names of the points."""
        return iter(self.points)

    def keys(self) -> KeysView[str]:
        """Returns the names of the points, in the order of computation."""
        return dict.fromkeys(self.points).keys()

    def values(self) -> list[CachedPoint]:
        """Returns the points' arrays, unread."""
        return [self[name] for name in self.points]

    def items(self) -> list[tuple[str, CachedPoint]]:
        """Returns each point's name with its array, unread."""
        return [(name, self[name]) for name in self.points]

    def __len__(self) -> int:
        """Number of committed samples."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return sum(len(commit.rows) for commit in self.commits)

    @property
    def complete(self) -> bool:
        """True where every shard is committed with every point."""
        return len(self.commits) == len(self.layout.shards) and len(self.arrays) == len(self.layout.points)

    def check_committed(self) -> None:
        """Raises `CacheError` where a shard is not committed, which other programs would read as zeros."""
        shards, committed = len(self.layout.shards), len(self.commits)
        if committed < shards:
            raise CacheError(
                f"{self.path} has {committed} of {shards} shards committed, and the others would read as zeros; "
                "run the same 'foresight extract' again to finish it"
            )

    @cached_property
    def zarr(self) -> "zarr.Group":
        """Zarr's view of the whole cache, read-only: what `zarr` offers and this class does not.

        Raises `CacheError` where the cache is not finished; reading raises `CorruptCache` where it is damaged.
        bfloat16 is its bits in uint16, and what is absent is 0: tokens that a sample does not have, and all
        tokens of a quarantined one, which `samples["status"]` tells.
        """
        from foresight_cache.zarr_view import zarr_group

        self.check_committed()
        return zarr_group(self)

    def to_xarray(self, points: str | Sequence[str] | None = None) -> "xr.Dataset":
        """Returns a lazy dataset with a variable per point; all points by default, chosen as by `xarray.open_dataset`.

        Where all samples have one grid on a level, such as `patch`, its axes are (sample, patch_t, patch_y, patch_x,
        channel), else (sample, patch, channel). Raises `UnknownName` and `UsageError`.
        """
        from foresight_cache.xarray_view import gridded_dataset

        return gridded_dataset(self, [self[name] for name in self.chosen(points)])

    def to_torch_dataset(
        self,
        points: str | Sequence[str],
        *,
        samples: Selection = ...,
        target: "Target" = None,
        dtype: "torch.dtype | None" = None,
    ) -> "CacheDataset":
        """Returns the tokens of points, sample by sample, as a dataset for a `DataLoader` of torch.

        Args:
            points: Names, aliases, sets or patterns, also in one text with commas.
            samples: The samples that it has, named as in `point[…]`; quarantined ones are left out.
            target: A column of `samples`, or `"sample"` for all of a row; a function of a row, called here once for
                each; or answers by number of the row. Samples whose target is None are left out.
            dtype: Type of the tokens, float32 unless told; pixels and labels are uint8 always.

        Raises: `UnknownName`, `UsageError`, `NoSuchSample`.
        """
        from foresight_cache.torch_dataset import CacheDataset

        return CacheDataset([self[name] for name in self.chosen(points)], samples, target=target, dtype=dtype)

    def chosen(self, points: str | Sequence[str] | None) -> tuple[str, ...]:
        """Returns the arrays that names, aliases, sets or patterns choose, also in one text with commas; all for None.

        Raises `UnknownName` and `UsageError`.
        """
        if points is None:
            return self.arrays
        texts = [text.strip() for text in points.split(",")] if isinstance(points, str) else points
        if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"points is {points!r}, expected names such as ['vit.block_08', 'E4']")
        named = {*texts, *self.select([text for text in texts if text not in self.arrays])}
        return tuple(name for name in self.arrays if name in named)

    @property
    def size(self) -> int:
        """Bytes of all committed objects."""
        return sum(entry["bytes"] for commit in self.commits for entry in commit.objects.values())

    def summary(self) -> dict[str, str]:
        """Returns what the cache is, as labelled texts."""
        model, data, given = (self.fingerprint[section] for section in ("model", "dataset", "input"))
        bad = sum(row.status == "bad" for commit in self.commits for row in commit.rows)
        return {
            "place": self.path,
            "model": f"{model['name']} ({model['weights']} weights, {model['dtype']})",
            **({"prompt": f"{model['prompt']!r}, which visual tokens see"} if model.get("sees_prompt") else {}),
            "dataset": f"{data['name']}, {input_words(given)}",
            "samples": f"{len(self)} of {self.layout.samples}" + (f", {bad} of them bad" if bad else ""),
            "shards": f"{len(self.commits)} of {len(self.layout.shards)} committed",
            "size": f"{self.size / 1e6:,.1f} MB",
            **described(self.commits),
            "fingerprint": self.digest,
        }

    def sizes(self, name: str) -> tuple[int, int]:
        """Returns the bytes of all committed objects of a point, and what they would be without its codec."""
        stored = sum(commit.objects[name]["bytes"] for commit in self.commits)
        return stored, sum(raw_size(commit, self.layout, name) for commit in self.commits)

    def table(self) -> list[dict[str, str]]:
        """Returns one row per point: name, array shape, type, megabytes; where any is compressed, codec and ratio."""
        rows = []
        for name in self.arrays:
            (stored, raw), layout = self.sizes(name), self.layout.points[name]
            row = {"point": name, "shape": str(self[name].shape), "type": layout.dtype, "MB": f"{stored / 1e6:,.1f}"}
            ratio = {"codec": layout.codec, "of raw": f"{stored / max(1, raw):.2f}"} if self.layout.format > 1 else {}
            rows.append(row | ratio)
        return rows

    @cached_property
    def statistics(self) -> "pd.DataFrame":
        """One row per shard and point: mean, std, quantiles of token norms, effective rank, as committed."""
        import pandas as pd

        return pd.DataFrame(statistics_rows(self.commits, self.points), columns=STATISTICS)

    @property
    def reopen(self) -> "Callable[[], Cache]":
        """Function that opens it in another process on this machine, as it is by then; it can be sent there."""
        return partial(open_cache, self.path, answers=self.answers.place if self.answers else None)

    def __reduce__(self) -> tuple[Any, ...]:
        place = self.path if "://" in self.path else str(Path(self.path).absolute())
        answers = (self.answers.place, self.answers.digest) if self.answers else None
        return _sent, (place, self.digest, tuple(commit.shard for commit in self.commits), self.arrays, answers)

    def __repr__(self) -> str:
        return as_text(self.summary(), self.table())

    def _repr_html_(self) -> str:
        return as_html(self.summary(), self.table())

    def _read_commits(self, keys: Iterable[str]) -> tuple[Commit, ...]:
        if self.store.reads_at_once == 1:
            return tuple(map(self._commit, keys))
        return tuple(prefetch(keys, self._commit, threads=self.store.reads_at_once))

    def _commit(self, key: str) -> Commit:
        place = f"{self.path}/{key}"
        try:
            commit = Commit.from_json(self.store.read(key), place)
        except FileNotFoundError:
            raise CorruptCache(f"{place} was there and is missing now; open the cache again") from None
        commit.check_belongs(self.layout, key, place)
        return commit
