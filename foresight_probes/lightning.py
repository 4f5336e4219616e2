"""The features of a cache for a `Trainer` of a user's own: a LightningDataModule with the probes' split and targets."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.reader import Cache, open_cache
from foresight_cache.sample_table import SampleTableRow
from foresight_probes.features.point_features import PointFeatures
from foresight_probes.features.sources import PointTokens
from foresight_probes.features.standardization import Standardization
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import SIDES, Split, require_apart
from foresight_probes.sweeps.divisions import WHOLE
from foresight_probes.sweeps.targets import load_targets, usable_rows

if TYPE_CHECKING:
    from foresight_cache.torch_dataset import CacheDataset, CacheItem

Answer: TypeAlias = Callable[[SampleTableRow], Any]
"""Function of a row of `cache.rows` that returns its target: a number, an array, a tensor or anything else; None where
it has none."""

_START_METHODS = ("fork", "spawn", "forkserver")


class CacheDataModule(LightningDataModule):
    """Tokens of a cache's points in batches for training, validation and test.

    The split is that of the probes: by the hash of a sample's group, so that what is tested here is what
    `foresight train-probe` tests. A batch is a dictionary, `foresight_cache.torch_dataset.CacheBatch`: `features` and
    `mask` by point, `grids`, `row`, `id`, `target`. Tokens are float32 and, unless told otherwise, standardised by mean
    and deviation of each channel over the tokens of training samples, the numbers by which the probes do; pixels and
    labels stay uint8.

    data = CacheDataModule("caches/shapes", "E4", "counting")
    pytorch_lightning.Trainer(max_epochs=3).fit(model, data)
    """

    def __init__(
        self,
        cache: Cache | str | Path,
        points: str | Sequence[str],
        target: str | Answer | None,
        *,
        batch_size: int = 64,
        standardize: bool = True,
        train_share: float = 0.7,
        validation_share: float = 0.15,
        column: str | None = None,
        seed: int = 0,
        num_workers: int = 0,
        multiprocessing_context: Literal["fork", "spawn", "forkserver"] | None = None,
    ) -> None:
        """Reads the sample table and makes targets; features are read later.

        Args:
            cache: A cache or its path.
            points: Names, aliases, sets or patterns, also in one text with commas.
            target: Name of a task, of which each sample has the `Task.target`; a function of a sample's row; or None.
                Samples without a target are left out of batches.
            batch_size: Samples in a batch.
            standardize: Whether tokens are standardised, for which those of training samples are read once before.
            train_share: Fraction of the range of group hashes that trains.
            validation_share: Fraction that validates; the rest is the test split.
            column: Column of the sample table whose classes the task `classification` asks for.
            seed: Seed of the order of training samples.
            num_workers: Processes that read; 0 to read in this one.
            multiprocessing_context: How they are started; Python's default where None.

        Raises: `UnknownName`; `UsageError`, also for a task that makes its targets from features; `ProbeError` where a
            side of the split has no sample with a target.
        """
        super().__init__()
        self.cache = cache if isinstance(cache, Cache) else open_cache(cache)
        self.points = self.cache.chosen(points)
        """Names of the points, in the order of computation."""
        self._options = TrainingOptions(
            batch_size=batch_size,
            train_share=train_share,
            validation_share=validation_share,
            column=column,
            shuffle_seed=seed,
        )
        _require_workers(num_workers, multiprocessing_context)
        self._workers: dict[str, Any] = {
            "num_workers": num_workers,
            "multiprocessing_context": multiprocessing_context if num_workers else None,
            "persistent_workers": num_workers > 0,
        }
        self._standardize = standardize
        self.split, targets = _divided(self.cache, target, self._options)
        self._sides: dict[str, CacheDataset] = {
            side: self.cache.to_torch_dataset(self.points, samples=self.split.rows(side), target=targets)
            for side in SIDES
        }
        self._fitted: dict[str, Standardization] | None = None

    @property
    def widths(self) -> dict[str, int]:
        """Channels by point: what a model's first layer takes."""
        return {name: self.cache[name].shape[2] for name in self.points}

    @property
    def standardizations(self) -> Mapping[str, Standardization]:
        """Means and deviations by point, read from the training samples once; empty where there are none."""
        if self._fitted is None:
            names = [name for name in self.points if self.cache[name].number_dtype.kind == "f"]
            self._fitted = {name: self._fit(name) for name in names} if self._standardize else {}
        return self._fitted

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 - all stages need the same
        """Reads the training samples once, for their standardization; Lightning calls it."""
        _ = self.standardizations

    def train_dataloader(self) -> "DataLoader[CacheItem]":
        """Returns shuffled batches of the training split."""
        generator = torch.Generator().manual_seed(self._options.shuffle_seed)
        return self._loader("train", shuffle=True, generator=generator)

    def val_dataloader(self) -> "DataLoader[CacheItem]":
        """Returns batches of the validation split."""
        return self._loader("validation")

    def test_dataloader(self) -> "DataLoader[CacheItem]":
        """Returns batches of the test split."""
        return self._loader("test")

    def predict_dataloader(self) -> "DataLoader[CacheItem]":
        """Returns the batches of the test split, for `Trainer.predict`."""
        return self._loader("test")

    def dataset(self, side: str) -> "Dataset[CacheItem]":
        """Returns the samples of one side of the split, `train`, `validation` or `test`, as batches have them."""
        plain = self._sides[side]
        return _Standardized(plain, self.standardizations) if self.standardizations else plain

    def _loader(self, side: str, **order: Any) -> "DataLoader[CacheItem]":
        collate = self._sides[side].collate
        # Lightning makes loaders anew, of arguments by name
        named = {"batch_size": self._options.batch_size, "collate_fn": collate, **order, **self._workers}
        return DataLoader(self.dataset(side), **named)

    def _fit(self, point: str) -> Standardization:
        rows = self.split.train
        source = PointTokens(self.cache, point)
        return PointFeatures(source, rows, keep_pooled=False, keep_tokens=None).fit(rows, rows)


class _Standardized(Dataset["CacheItem"]):
    """The same samples with standardised tokens."""

    def __init__(self, plain: "CacheDataset", fitted: Mapping[str, Standardization]) -> None:
        self._plain, self._fitted = plain, dict(fitted)

    def __len__(self) -> int:
        return len(self._plain)

    def __getitem__(self, index: int) -> "CacheItem":
        item = self._plain[index]
        for name, fitted in self._fitted.items():
            item["features"][name] = (item["features"][name] - fitted.token_mean) / fitted.token_scale
        return item


def _require_workers(number: Any, method: Any) -> None:
    """Raises `UsageError`."""
    if type(number) is not int or number < 0:
        raise UsageError(f"num_workers is {number!r}, expected a whole number of at least 0")
    if method is not None and method not in _START_METHODS:
        raise UsageError(f"multiprocessing_context is {method!r}, expected one of {', '.join(_START_METHODS)}, or None")


def _divided(
    cache: Cache, target: str | Answer | None, options: TrainingOptions
) -> tuple[Split, Mapping[int, Any] | None]:
    """Returns the split of all samples that are not quarantined, and targets by row of the sample table."""
    if isinstance(target, str):
        made = load_targets(cache, [target], options)
        if made.tasks[target].transforms_batch:
            raise UsageError(
                f"the task {target!r} makes its targets from the features of a batch, which no batch of a data module "
                "holds; give a function of a sample's row, or train it with foresight_probes.train"
            )
        return made.split, made.targets[target]
    if target is not None and not callable(target):
        raise UsageError(f"target is {target!r}, expected the name of a task, a function of a sample's row, or None")
    rows = usable_rows(cache)
    split = WHOLE.split(cache, rows, options)
    require_apart(split, [sample["group"] for sample in cache.rows])
    if target is None:
        return split, None
    targets = {row: answer for row in rows if (answer := target(cache.rows[row])) is not None}
    for side in SIDES:
        if not targets.keys() & set(split.rows(side)):
            raise ProbeError(
                f"no sample of the {side} split has a target: the function returns None for each of its "
                f"{len(split.rows(side))}; let it return an answer for some, or extract samples that have one"
            )
    return split, targets
