"""The split into samples that train, select and are reported, by hash of the sample's group.

The side of a group depends on its name alone, so it is the same for every task, point, cache and machine, and
no image is on two sides because of how many others there are.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foresight_cache.errors import ProbeError

SIDES = ("train", "validation", "test")


def position(group: str) -> float:
    """Returns the position of a group in [0, 1): the first 53 bits of the SHA-256 of its name, as a fraction.

    Fifty-three bits are what a float holds exactly.

    >>> position("shapes/train/000000000001") == (0x2E1864BA102C6E >> 3) / 2**53
    True
    >>> round(position("shapes/train/000000000001"), 4)
    0.1801
    """
    return (int.from_bytes(hashlib.sha256(group.encode()).digest()[:7], "big") >> 3) / 2**53


def side_of(group: str, *, train_share: float, validation_share: float) -> str:
    """Returns the side that a group is on.

    >>> shares = {"train_share": 0.7, "validation_share": 0.15}
    >>> [side_of(f"shapes/train/{k:012d}", **shares) for k in (1, 6, 7)]
    ['train', 'validation', 'test']
    """
    fraction = position(group)
    if fraction < train_share:
        return "train"
    return "validation" if fraction < train_share + validation_share else "test"


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Rows of a sample table by side, in the table's order."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    digest: str
    """SHA-256 of the lines `<side> <sample id>`, sorted."""

    def rows(self, side: str) -> tuple[int, ...]:
        """Returns the rows of one of `SIDES`."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[side]

    def sizes(self) -> dict[str, int]:
        """Returns the number of rows of each side."""
        return {side: len(self.rows(side)) for side in SIDES}


def split_rows(
    rows: Sequence[int], ids: Sequence[str], groups: Sequence[str], *, train_share: float, validation_share: float
) -> Split:
    """Splits the samples in `rows` of a table whose columns are `ids` and `groups`.

    Raises `ProbeError` where a side would be empty.
    """
    sides: dict[str, list[int]] = {side: [] for side in SIDES}
    for row in rows:
        sides[side_of(groups[row], train_share=train_share, validation_share=validation_share)].append(row)
    for side in SIDES:
        if not sides[side]:
            count = len({groups[row] for row in rows})
            folds = f"use --folds {min(count, 5)}, " if count > 2 else ""
            raise ProbeError(
                f"the {side} split is empty: {len(rows)} usable samples in {count} groups are too few to put some on "
                f"each side; {folds}extract more samples, or change train_share and validation_share"
            )
    return _split(sides, ids)


def folded(
    rows: Sequence[int],
    ids: Sequence[str],
    groups: Sequence[str],
    *,
    fold: int,
    folds: int,
    train_share: float,
    validation_share: float,
) -> Split:
    """Splits the samples in `rows` so that in `folds` such splits, numbered from 0, each is tested once.

    Groups are dealt out in the order of their hashes. Those that are not tested train and select, in the proportion of
    the shares, at least one of each.

    Raises `ProbeError` where there are too few groups.

    >>> names = [f"image {number}" for number in range(4)]
    >>> split = folded(range(4), names, names, fold=0, folds=4, train_share=0.7, validation_share=0.15)
    >>> split.sizes()
    {'train': 2, 'validation': 1, 'test': 1}
    """
    order = sorted({groups[row] for row in rows}, key=lambda group: (position(group), group))
    if len(order) < max(folds, 3):
        raise ProbeError(
            f"{len(order)} groups of usable samples cannot be divided into {folds} folds, in each of which some train, "
            "some select and some are tested; use fewer folds, or extract more samples"
        )
    others = [group for place, group in enumerate(order) if place % folds != fold]
    others.sort(key=lambda group: (position(f"fold {fold} {group}"), group))
    selecting = round(len(others) * validation_share / (train_share + validation_share))
    selects = set(others[: min(max(selecting, 1), len(others) - 1)])
    trains = set(others) - selects
    sides: dict[str, list[int]] = {side: [] for side in SIDES}
    for row in rows:
        group = groups[row]
        sides["train" if group in trains else "validation" if group in selects else "test"].append(row)
    return _split(sides, ids)


def without_part(split: Split, ids: Sequence[str], groups: Sequence[str], *, part: int, parts: int) -> Split:
    """Returns the split without one of so many parts, numbered from 0, of its training and validation groups.

    Groups are dealt out to the parts in the order of their hashes; a side that would be left empty stays as it is. The
    test split stays.
    """
    sides: dict[str, Sequence[int]] = {"test": split.test}
    for side in ("train", "validation"):
        order = sorted({groups[row] for row in split.rows(side)}, key=lambda group: position(f"part {group}"))
        left_out = set(order[part::parts])
        sides[side] = [row for row in split.rows(side) if groups[row] not in left_out] or split.rows(side)
    return _split(sides, ids)


def portion(split: Split, ids: Sequence[str], groups: Sequence[str], *, share: float) -> Split:
    """Returns the split with a share of its training and validation groups, at least one of each.

    Groups are taken in the order of their hashes, so that a smaller portion is part of a larger one. The test split
    stays.
    """
    sides: dict[str, Sequence[int]] = {"test": split.test}
    for side in ("train", "validation"):
        order = sorted({groups[row] for row in split.rows(side)}, key=lambda group: position(f"portion {group}"))
        kept = set(order[: max(1, round(share * len(order)))])
        sides[side] = [row for row in split.rows(side) if groups[row] in kept]
    return _split(sides, ids)


def joined(splits: Sequence[Split]) -> Split:
    """Returns the split of folds taken together: what is tested in any of them is tested, and nothing else is there."""
    return Split(
        train=(),
        validation=(),
        test=tuple(sorted(row for split in splits for row in split.test)),
        digest=hashlib.sha256("\n".join(split.digest for split in splits).encode()).hexdigest(),
    )


def _split(sides: Mapping[str, Sequence[int]], ids: Sequence[str]) -> Split:
    lines = sorted(f"{side} {ids[row]}" for side in SIDES for row in sides[side])
    return Split(
        train=tuple(sides["train"]),
        validation=tuple(sides["validation"]),
        test=tuple(sides["test"]),
        digest=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def require_apart(split: Split, groups: Sequence[str]) -> None:
    """Raises `ProbeError` where a group has samples on two sides, so that what is tested was trained on or selected by.

    >>> split = Split(train=(0, 1), validation=(2,), test=(3,), digest="")
    >>> require_apart(split, ["a", "a", "b", "c"])
    >>> require_apart(split, ["a", "a", "b", "a"])
    Traceback (most recent call last):
    foresight_cache.errors.ProbeError: the group 'a' is on the train and the test side of the split, expected each \
group on one side; nothing is trained, since its numbers would be of samples that are known before: report it
    """
    sides: dict[str, str] = {}
    for side in SIDES:
        for row in split.rows(side):
            other = sides.setdefault(groups[row], side)
            if other != side:
                raise ProbeError(
                    f"the group {groups[row]!r} is on the {other} and the {side} side of the split, expected each "
                    "group on one side; nothing is trained, since its numbers would be of samples that are known "
                    "before: report it"
                )


def resplit(split: Split, groups: Sequence[str], seed: int) -> Split:
    """Divides the same samples into training and validation in another way, by the hash of seed and group.

    For heads that have no initial weights for a seed to decide. The test split stays, so that results can be compared
    sample by sample; with seed 0 all stays. Shares are about as before, with a group on each side where there are two.
    """
    if seed == 0:
        return split
    rows = sorted((*split.train, *split.validation))
    share = len(split.train) / len(rows)
    order = sorted({groups[row] for row in rows}, key=lambda group: position(f"{seed} {group}"))
    count = sum(position(f"{seed} {group}") < share for group in order)
    training = set(order[: max(1, min(count, len(order) - 1))])
    trained = {row for row in rows if groups[row] in training}
    return Split(
        train=tuple(row for row in rows if row in trained),
        validation=tuple(row for row in rows if row not in trained),
        test=split.test,
        digest=split.digest,
    )
