"""A process that a scheduler started takes the GPU of its number on the machine, and no other."""

import os

import pytest
import torch

from foresight_cache.errors import UsageError
from foresight_cache.runtime.schedulers import VISIBLE_GPUS, see_gpus, see_one_gpu, take_own_gpus


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four GPUs and no scheduler."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for name in (VISIBLE_GPUS, "LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.setenv(name, "")  # so that whatever is set in a test is undone
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("visible", "number", "chosen"),
    [("", 0, "0"), ("", 3, "3"), ("", 6, "2"), ("2,5", 0, "2"), ("2,5", 3, "5"), ("GPU-a1,GPU-b2", 1, "GPU-b2")],
)
def test_one_gpu(visible: str, number: int, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if visible:
        monkeypatch.setenv(VISIBLE_GPUS, visible)
    see_one_gpu(number)
    assert os.environ[VISIBLE_GPUS] == chosen


def test_a_machine_without_gpus_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    see_one_gpu(1)
    assert VISIBLE_GPUS not in os.environ


@pytest.mark.parametrize(
    ("variables", "device", "chosen"),
    [
        ({"LOCAL_RANK": "1"}, "auto", "1"),
        ({"SLURM_LOCALID": "2"}, "cuda", "2"),
        ({"LOCAL_RANK": "1", "SLURM_LOCALID": "0"}, "auto", "1"),
        ({"SLURM_LOCALID": "0"}, "auto", None),
        ({"LOCAL_RANK": "1"}, "cuda:3", None),
        ({"LOCAL_RANK": "1"}, "cpu", None),
        ({"LOCAL_RANK": "one"}, "auto", None),
        ({}, "auto", None),
    ],
)
def test_processes_of_a_scheduler(
    variables: dict[str, str], device: str, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    take_own_gpus(device)
    assert os.environ.get(VISIBLE_GPUS) == chosen


@pytest.mark.parametrize(
    ("visible", "rank", "each", "chosen"),
    [("", "0", 2, "0,1"), ("", "1", 2, "2,3"), ("", "2", 2, "0,1"), ("", "0", 4, "0,1,2,3"), ("5,6,7", "1", 2, "5,6")],
)
def test_models_of_several_gpus(
    visible: str, rank: str, each: int, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_LOCALID", rank)
    if visible:
        monkeypatch.setenv(VISIBLE_GPUS, visible)
    take_own_gpus("auto", each)
    assert os.environ[VISIBLE_GPUS] == chosen


def test_fewer_gpus_than_a_model_takes() -> None:
    with pytest.raises(UsageError, match="a model takes 8 GPUs, and this process sees 4"):
        see_gpus(0, 8)
