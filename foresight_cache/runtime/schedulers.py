"""What a scheduler says of this process in its environment: the variables of torchrun, SLURM and Kubernetes."""

import os
from collections.abc import Mapping
from fractions import Fraction

from foresight_cache.errors import UsageError

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
_LOCAL_RANKS = ("LOCAL_RANK", "SLURM_LOCALID")
"""Torchrun's variable, then SLURM's: torchrun also runs inside a SLURM job, whose numbers are then those of nodes."""


_RANKS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))
"""A process's number among those that were started together, and how many these are; torchrun's first, as above."""


def begin_of(environment: Mapping[str, str] = os.environ) -> Fraction:
    """Returns where in a work this process best begins, from 0 up to but not including 1, so that processes lie apart.

    Task i of n in a SLURM array begins at i/n, and process k of m in it at (i + k/m)/n. Kubernetes tells the index
    of an Indexed Job and not how many there are: there it is the index in van der Corput's sequence (1/2, 1/4, 3/4, …),
    which lies evenly however many come. Variables that are no such numbers count as not set.

    >>> begin_of({"RANK": "1", "WORLD_SIZE": "4"}), begin_of({"JOB_COMPLETION_INDEX": "3"}), begin_of({})
    (Fraction(1, 4), Fraction(3, 4), Fraction(0, 1))
    """
    worlds = ((_number(environment, number), _number(environment, size)) for number, size in _RANKS)
    inner = next((Fraction(own % of, of) for own, of in worlds if own is not None and of), Fraction(0))
    task, tasks = _number(environment, "SLURM_ARRAY_TASK_ID"), _number(environment, "SLURM_ARRAY_TASK_COUNT")
    if task is not None and tasks:
        first, step = _number(environment, "SLURM_ARRAY_TASK_MIN"), _number(environment, "SLURM_ARRAY_TASK_STEP")
        return ((task - (first or 0)) // (step or 1) % tasks + inner) / tasks
    index = _number(environment, "JOB_COMPLETION_INDEX")
    return inner if inner or index is None else _van_der_corput(index)


def processes_of(environment: Mapping[str, str] = os.environ) -> int:
    """Returns how many processes a scheduler says it starts with this command, 1 where it says nothing.

    >>> processes_of({"SLURM_ARRAY_TASK_COUNT": "8", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}), processes_of({})
    (16, 1)
    """
    sizes = (_number(environment, size) for number, size in _RANKS if _number(environment, number) is not None)
    return (next((size for size in sizes if size), None) or 1) * (_number(environment, "SLURM_ARRAY_TASK_COUNT") or 1)


def _number(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() else None


def _van_der_corput(index: int) -> Fraction:
    """Returns the digits of a number in base 2, mirrored at the point."""
    digits = f"{index:b}"
    return Fraction(int(digits[::-1], 2), 1 << len(digits))


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Returns the number of this process among those that a scheduler started on this machine; 0 without one.

    >>> local_rank({"SLURM_LOCALID": "3"}), local_rank({"LOCAL_RANK": "1", "SLURM_LOCALID": "0"}), local_rank({})
    (3, 1, 0)
    """
    values = (environment.get(name, "") for name in _LOCAL_RANKS)
    return next((int(value) for value in values if value.isdecimal()), 0)


def see_one_gpu(number: int) -> None:
    """Lets this process see one GPU alone; see `see_gpus`."""
    see_gpus(number, 1)


def see_gpus(number: int, each: int) -> None:
    """Lets this process see `each` GPUs alone: those of the group of this number, counted round where there are fewer.

    The numbers are those of the GPUs that it sees now. Without a GPU nothing changes. It has to come before the first
    use of a GPU in the process. Raises `UsageError` where it sees fewer than `each`.
    """
    import torch

    visible = [gpu for gpu in os.environ.get(VISIBLE_GPUS, "").split(",") if gpu]
    gpus = visible or [str(index) for index in range(torch.cuda.device_count())]
    if not gpus:
        return
    if len(gpus) < each:
        raise UsageError(
            f"a model takes {each} GPUs, and this process sees {len(gpus)}; give it more, or fewer a model"
        )
    first = number % (len(gpus) // each) * each
    os.environ[VISIBLE_GPUS] = ",".join(gpus[first : first + each])


def take_own_gpus(device: str, each: int = 1) -> None:
    """Gives each of the processes that a scheduler started on this machine GPUs of its own, as far as there are any.

    The first process stays as it is where it needs one, for it takes the first GPU anyway. A `device` that names a GPU
    by number, such as `cuda:1`, is left as it is too. Raises `UsageError` where there are fewer than it needs.
    """
    if device in ("auto", "cuda") and (local_rank() or each > 1):
        see_gpus(local_rank(), each)
