"""The ways in which a sweep divides the same samples: once, in folds, and again with fewer of those that train."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.reader import Cache
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split, folded, portion, split_rows, without_part


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """One way of dividing samples, by its numbers."""

    fold: int | None = None
    """The fold that is tested; None where there are no folds, or for all of them together."""
    refit: int | None = None
    """The part of the training and validation groups that is left out; None for no part."""
    halvings: int | None = None
    """How often the training and validation groups are halved; None for never."""

    def folder(self, out: Path) -> Path:
        """Returns the folder of its results, below that of the sweep.

        >>> Division(fold=1, refit=2).folder(Path("runs")).as_posix()
        'runs/refits/02/folds/1'
        """
        within = out if self.halvings is None else out / "portions" / str(2**self.halvings)
        within = within if self.refit is None else within / "refits" / f"{self.refit:02d}"
        return within if self.fold is None else within / "folds" / str(self.fold)

    def split(self, cache: Cache, rows: Sequence[int], options: TrainingOptions) -> Split:
        """Splits the samples in `rows` of a cache's table. Raises `ProbeError` where a side would be empty."""
        ids, groups = ([sample[name] for sample in cache.rows] for name in ("id", "group"))
        shares = {"train_share": options.train_share, "validation_share": options.validation_share}
        if options.folds and self.fold is not None:
            split = folded(rows, ids, groups, fold=self.fold, folds=options.folds, **shares)
        else:
            split = split_rows(rows, ids, groups, **shares)
        if self.halvings is not None:
            split = portion(split, ids, groups, share=0.5**self.halvings)
        if self.refit is None:
            return split
        return without_part(split, ids, groups, part=self.refit, parts=options.refits)


WHOLE = Division()
"""The division of a sweep without repetitions."""
