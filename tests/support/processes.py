"""Several processes of the command line at once, as a scheduler starts them, without a scheduler."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess, Popen

from tests.support.command import FORESIGHT

SCHEDULERS = ("SLURM", "LOCAL_RANK", "RANK", "WORLD_SIZE", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC")
"""Beginnings of the names of variables that a scheduler sets."""


def slurm(rank: int, ranks: int) -> dict[str, str]:
    """Variables of `srun --ntasks=…`; it sets SLURM_NTASKS_PER_NODE only where that was given, as here it was not."""
    return {
        **{"SLURM_JOB_ID": "4711", "SLURM_JOBID": "4711", "SLURM_JOB_NAME": "probes", "SLURM_STEP_ID": "0"},
        **{"SLURM_NTASKS": str(ranks), "SLURM_NPROCS": str(ranks), "SLURM_NNODES": "1", "SLURM_NODELIST": "localhost"},
        **{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0", "SLURM_TASKS_PER_NODE": "4"},
    }


def slurm_per_node(rank: int, ranks: int) -> dict[str, str]:
    """Variables of `srun --ntasks-per-node=…`, inside a job that may be queued again."""
    return {**slurm(rank, ranks), "SLURM_NTASKS_PER_NODE": str(ranks), "SLURM_RESTART_COUNT": "0"}


def slurm_array(task: int, tasks: int) -> dict[str, str]:
    """Variables of `srun` in one task of `sbatch --array=0-…`, which has one process."""
    return {
        **slurm(0, 1),
        **{"SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(tasks)},
        **{"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": str(tasks - 1), "SLURM_ARRAY_TASK_STEP": "1"},
    }


def torchrun(rank: int, ranks: int) -> dict[str, str]:
    """Variables of `torchrun --standalone --nproc-per-node=…`."""
    return {
        **{
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "GROUP_RANK": "0",
            "ROLE_RANK": str(rank),
            "ROLE_NAME": "default",
        },
        **{"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "ROLE_WORLD_SIZE": str(ranks)},
        **{"GROUP_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29599"},
        **{"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_MAX_RESTARTS": "0"},
    }


def start(variables: Mapping[str, str], *arguments: object, program: Path = FORESIGHT) -> "Popen[str]":
    """Starts one process with a scheduler's variables and none of another one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(SCHEDULERS)}
    return Popen(
        [program, *map(str, arguments)],
        env=inherited | dict(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "Popen[str]") -> CompletedProcess[str]:
    """Waits for a process and returns what it printed; one that takes five minutes is killed and an error."""
    try:
        stdout, stderr = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return CompletedProcess(process.args, process.returncode, stdout, stderr)
