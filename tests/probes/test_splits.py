"""Sides by hash of the group, against hashlib, and what happens when a side is empty."""

import hashlib

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.splits import Split, position, require_apart, resplit, side_of, split_rows

SHARES = {"train_share": 0.7, "validation_share": 0.15}


def test_position_is_the_hash_as_a_fraction() -> None:
    for name in ("a", "shapes/train/000000000001", "ü"):
        exact = int(hashlib.sha256(name.encode()).hexdigest(), 16) / 2**256
        assert position(name) == pytest.approx(exact, abs=1e-15)


def test_shares_are_kept() -> None:
    sides = [side_of(f"group {number}", **SHARES) for number in range(20_000)]
    shares = [sides.count(side) / len(sides) for side in ("train", "validation", "test")]
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.01)


def test_a_group_is_on_one_side_and_every_row_on_one() -> None:
    groups = [f"group {number // 3}" for number in range(300)]
    ids = [f"id {number}" for number in range(300)]
    split = split_rows(range(300), ids, groups, **SHARES)
    sides = [split.train, split.validation, split.test]
    assert sorted(row for side in sides for row in side) == list(range(300))
    named = [{groups[row] for row in side} for side in sides]
    assert sum(map(len, named)) == len(set(groups))


def test_a_sample_stays_on_its_side_when_others_come() -> None:
    ids = groups = [f"sample {number}" for number in range(400)]
    few, many = split_rows(range(100), ids, groups, **SHARES), split_rows(range(400), ids, groups, **SHARES)
    assert set(few.test) <= set(many.test)
    assert few.digest != many.digest


def test_the_digest_names_samples_and_not_their_order() -> None:
    ids = groups = [f"sample {number}" for number in range(100)]
    forward = split_rows(range(100), ids, groups, **SHARES)
    backward = split_rows(range(100), ids[::-1], groups[::-1], **SHARES)
    assert forward.digest == backward.digest
    assert forward.digest != split_rows(range(100), ids, groups, train_share=0.6, validation_share=0.15).digest


def test_an_empty_side_is_said_plainly() -> None:
    ids = groups = [f"shapes/train/{number:012d}" for number in (0, 1)]
    with pytest.raises(ProbeError) as error:
        split_rows([0, 1], ids, groups, **SHARES)
    assert str(error.value) == (
        "the validation split is empty: 2 usable samples in 2 groups are too few to put some on each side; "
        "extract more samples, or change train_share and validation_share"
    )


@pytest.mark.parametrize("count", [2, 3, 4])
def test_no_seed_leaves_a_side_empty(count: int) -> None:
    groups = [f"group {number // 2}" for number in range(2 * count)]
    rows = tuple(range(2 * count))
    split = Split(train=rows[:-2], validation=rows[-2:], test=(), digest="")
    for seed in range(200):
        other = resplit(split, groups, seed)
        assert other.train
        assert other.validation
        assert sorted((*other.train, *other.validation)) == list(rows)
        require_apart(other, groups)
