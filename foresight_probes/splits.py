"""The split into samples that train, select and are reported, by hash of the sample's group.

The side of a group depends on its name alone, so it is the same for every task, point, cache and machine, and
no image is on two sides because of how many others there are.
"""

import hashlib
from collections.abc import Sequence
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
            raise ProbeError(
                f"the {side} split is empty: {len(rows)} usable samples in {count} groups are too few to put some on "
                "each side; extract more samples, or change train_share and validation_share"
            )
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
    sample by sample; with seed 0 all stays. Shares are about as before.
    """
    if seed == 0:
        return split
    rows = sorted((*split.train, *split.validation))
    share = len(split.train) / len(rows)
    trained = {row for row in rows if position(f"{seed} {groups[row]}") < share}
    return Split(
        train=tuple(row for row in rows if row in trained),
        validation=tuple(row for row in rows if row not in trained),
        test=split.test,
        digest=split.digest,
    )
