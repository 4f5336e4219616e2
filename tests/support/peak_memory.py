"""The most memory that a command has at a time, in a process of its own."""

import os
import subprocess
import sys

MEASURED = """
import sys
from pathlib import Path
from pipelines import cli

status = cli.run(sys.argv[1:])
# Not ru_maxrss: that counts the process that started this one, too.
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
sys.exit(status)
"""


def peak_memory(*words: object) -> float:
    """Megabytes that `foresight` with these words had at most."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout.splitlines()[-1].split()[1]) / 1000
