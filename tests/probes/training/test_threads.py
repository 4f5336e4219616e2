"""Work that is shared out is done once, at the same time, and its errors arrive."""

import threading
import time

import pytest
import torch

from foresight_probes.training.threads import Threads


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("pieces", [0, 1, 2, 7])
def test_each_piece_is_done_once(count: int, pieces: int) -> None:
    done: list[int] = []
    with Threads(count) as workers:
        workers.side_by_side(done.append, range(pieces))
    assert sorted(done) == list(range(pieces))


def test_pieces_are_done_at_the_same_time_with_one_thread_each() -> None:
    """Each waits for the other two, so one after another they would wait in vain."""
    together = threading.Barrier(3, timeout=60)
    threads = {}

    def work(piece: int) -> None:
        together.wait()
        threads[piece] = torch.get_num_threads()

    usual = torch.get_num_threads()
    with Threads(3) as workers:
        workers.side_by_side(work, range(3))
    assert threads == {0: 1, 1: 1, 2: 1}
    assert torch.get_num_threads() == usual


@pytest.mark.parametrize("place", [0, 1])
def test_an_error_of_a_piece_arrives_when_all_others_are_done(place: int) -> None:
    done = []

    def work(piece: int) -> None:
        if piece == place:
            raise ZeroDivisionError
        time.sleep(0.2)
        done.append(piece)

    with Threads(2) as workers:
        with pytest.raises(ZeroDivisionError):
            workers.side_by_side(work, range(2))
        assert done == [1 - place]


def test_large_pieces_have_all_threads_one_after_the_other() -> None:
    seen: list[tuple[int, int]] = []
    with Threads(3) as workers:
        workers.in_turn(lambda piece: seen.append((piece, torch.get_num_threads())), range(2))
        assert torch.get_num_threads() == 1
    assert seen == [(0, 3), (1, 3)]


def test_afterwards_pieces_are_done_by_the_caller() -> None:
    done: list[int] = []
    with Threads(2) as workers:
        pass
    workers.side_by_side(done.append, range(3))
    assert done == [0, 1, 2]
