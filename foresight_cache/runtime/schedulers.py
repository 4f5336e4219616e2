"""What a scheduler says of this process in its environment: torchrun's and SLURM's variables."""

import os
from collections.abc import Mapping

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
_LOCAL_RANKS = ("LOCAL_RANK", "SLURM_LOCALID")
"""Torchrun's variable, then SLURM's: torchrun also runs inside a SLURM job, whose numbers are then those of nodes."""


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Returns the number of this process among those that a scheduler started on this machine; 0 without one.

    >>> local_rank({"SLURM_LOCALID": "3"}), local_rank({"LOCAL_RANK": "1", "SLURM_LOCALID": "0"}), local_rank({})
    (3, 1, 0)
    """
    values = (environment.get(name, "") for name in _LOCAL_RANKS)
    return next((int(value) for value in values if value.isdecimal()), 0)


def see_one_gpu(number: int) -> None:
    """Lets this process see one GPU alone, the one with this number, counted round where there are fewer.

    The numbers are those of the GPUs that it sees now. Without a GPU nothing changes. It has to come before the first
    use of a GPU in the process.
    """
    import torch

    visible = [gpu for gpu in os.environ.get(VISIBLE_GPUS, "").split(",") if gpu]
    gpus = visible or [str(index) for index in range(torch.cuda.device_count())]
    if gpus:
        os.environ[VISIBLE_GPUS] = gpus[number % len(gpus)]


def take_own_gpu(device: str) -> None:
    """Gives each of the processes that a scheduler started on this machine a GPU of its own, as far as there are any.

    The first process stays as it is, for it takes the first GPU anyway. A `device` that names a GPU by number, such as
    `cuda:1`, is left as it is too.
    """
    if device in ("auto", "cuda") and (rank := local_rank()):
        see_one_gpu(rank)
