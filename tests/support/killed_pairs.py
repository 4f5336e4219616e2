"""Two processes that make the same folder, killed whenever some more of its files are there, until one ends.

    python -m tests.support.killed_pairs MODULE FUNCTION INPUTS OUT PATTERN MORE

Run as a program of its own, because it forks: it imports all that is slow to import but computes nothing, since torch's
threads do not survive a fork. FUNCTION of MODULE makes OUT of INPUTS, two folders; MORE files of PATTERN are waited
for. Prints how many processes were killed.
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers.models.qwen2_5_vl.modeling_qwen2_5_vl
import transformers.models.qwen2_5_vl.processing_qwen2_5_vl  # noqa: F401 - imported once for all forks


def make_and_kill(make: Callable[[Path, Path], None], inputs: Path, out: Path, pattern: str, more: int) -> int:
    """Returns how many processes were killed until one of them had made all of `out`."""
    kills, ended = 0, False
    while not ended:
        before = len(list(out.glob(pattern)))
        running = [_start(make, inputs, out) for _ in range(2)]
        while running and len(list(out.glob(pattern))) < before + more:
            for process in list(running):
                if os.waitpid(process, os.WNOHANG)[0]:
                    running.remove(process)
                    ended = True
            time.sleep(0.002)
        for process in running:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            kills += 1
    return kills


def check_equals_undisturbed(
    make: Callable[[Path, Path], None], inputs: Path, folder: Path, pattern: str, more: int
) -> None:
    """Holds what killed processes and then one more have made to what one made undisturbed, byte by byte."""
    whole, out = folder / "whole", folder / "killed"
    make(inputs, whole)
    named = [make.__module__, make.__name__, inputs, out, pattern, str(more)]
    command = [sys.executable, "-m", "tests.support.killed_pairs", *named]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path.cwd())
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 4, "too few processes were killed while they worked: the test shows nothing"
    make(inputs, out)
    names = {path.name for path in whole.iterdir()}
    assert {path.name for path in out.iterdir()} == names
    assert all((out / name).read_bytes() == (whole / name).read_bytes() for name in names)


def _start(make: Callable[[Path, Path], None], inputs: Path, out: Path) -> int:
    process = os.fork()
    if not process:
        status = 1
        try:
            os.nice(10)  # on a busy machine, too, who kills looks more often than work goes on
            torch.set_num_threads(1)
            make(inputs, out)
            status = 0
        finally:
            os._exit(status)
    return process


if __name__ == "__main__":
    module, function, first, second, files, count = sys.argv[1:]
    own = getattr(importlib.import_module(module), function)
    print(make_and_kill(own, Path(first), Path(second), files, int(count)))
