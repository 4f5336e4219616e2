"""Parts and beginnings: every piece in one part, processes far apart, and no number of a scheduler that is trusted."""

from fractions import Fraction

import pytest

from foresight_cache.errors import UsageError
from foresight_cache.runtime.schedulers import begin_of
from foresight_cache.runtime.work_share import Part, WorkShare


@pytest.mark.parametrize(("pieces", "parts"), [(7, 3), (3, 3), (3, 16), (0, 2), (100, 1)])
def test_every_piece_is_in_one_part_and_superfluous_parts_are_empty(pieces: int, parts: int) -> None:
    shares = [
        WorkShare(part=Part(number, parts), begin=Fraction(1, 3)).order(range(pieces)) for number in range(1, parts + 1)
    ]
    assert sorted(piece for share in shares for piece in share) == list(range(pieces))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert [number for number, share in enumerate(shares, start=1) if not share] == list(range(pieces + 1, parts + 1))


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1/0", "1", "1/", "/4", "-1/4", "1.5/4", "a/b", "1/4/2", "", "²/4", "1/9999999999"]
)
def test_what_is_no_part_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"--part is .*, expected I/N with I from 1 to N, such as 3/16") as caught:
        Part.parse(text)
    assert repr(text) in str(caught.value)


def test_every_process_looks_at_all_and_begins_elsewhere() -> None:
    orders = [WorkShare(begin=Fraction(rank, 4)).order(range(10)) for rank in range(4)]
    assert [order[0] for order in orders] == [0, 2, 5, 7], "floor(rank * 10 / 4)"
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert orders[3] == [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]


def array(task: int, count: int, first: int = 0, step: int = 1) -> dict[str, str]:
    numbers = {"ID": task, "COUNT": count, "MIN": first, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in numbers.items()}


@pytest.mark.parametrize(
    ("variables", "begin"),
    [
        ({}, "0"),
        ({"RANK": "3", "WORLD_SIZE": "8"}, "3/8"),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, "1/4"),
        ({"RANK": "3", "WORLD_SIZE": "8", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, "3/8"),
        (array(3, 16), "3/16"),
        (array(1, 4, first=1), "0"),
        (array(30, 4, first=10, step=10), "1/2"),
        (array(90, 3, first=10), "2/3"),  # --array=10,50,90 says nothing of its steps
        (array(1, 2) | {"SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, "5/8"),
        ({"JOB_COMPLETION_INDEX": "0"}, "0"),
        ({"JOB_COMPLETION_INDEX": "6"}, "3/8"),
        ({"RANK": "9", "WORLD_SIZE": "8"}, "1/8"),
        ({"RANK": "1", "WORLD_SIZE": "0"}, "0"),
        ({"RANK": "-1", "WORLD_SIZE": "8"}, "0"),
        ({"RANK": "²", "WORLD_SIZE": "8"}, "0"),
        ({"SLURM_ARRAY_TASK_ID": "3"}, "0"),
        ({"JOB_COMPLETION_INDEX": "one"}, "0"),
    ],
)
def test_where_a_process_of_a_scheduler_begins(variables: dict[str, str], begin: str) -> None:
    assert begin_of(variables) == Fraction(begin)


def test_pods_lie_apart_however_many_there_are() -> None:
    begins = [begin_of({"JOB_COMPLETION_INDEX": str(index)}) for index in range(8)]
    assert sorted(begins) == [Fraction(eighth, 8) for eighth in range(8)]
    assert sorted(begins[:4]) == [Fraction(quarter, 4) for quarter in range(4)]
