"""Scripts for schedulers, run with stand-ins for the scheduler's programs, and the manifest for Kubernetes."""

import os
import shlex
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from tests.support.command import FORESIGHT, foresight
from tests.support.preparing import prepare
from tests.support.processes import slurm_array

QUEUED = "requeue 4711_2"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("launchers") / "some shards"
    prepare("shapes", out=out, limit=6, samples_per_shard=2)
    return out


@pytest.fixture(scope="module")
def command(shards: Path) -> list[str]:
    usual = ["extract", shards, "--model", "tiny:qwen2_5_vl", "--size", 56, "--points", "vit.*", "--out", "it's C"]
    return list(map(str, usual))


@pytest.fixture(scope="module")
def script(command: list[str]) -> str:
    run = foresight(*command, "--print-sbatch")
    assert run.returncode == 0, run.stderr
    return run.stdout


def submit(script: str, folder: Path, srun: str, **variables: str) -> tuple[int, list[str]]:
    """Runs a script as task 2 of an array; returns its status and what `scontrol` was called with."""
    (folder / "bin").mkdir()
    for name, body in {"srun": srun, "scontrol": f"echo $* >> {folder}/calls"}.items():
        (folder / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / "bin" / name).chmod(0o755)
    path = f"{folder}/bin:{FORESIGHT.parent}:{os.environ['PATH']}"
    environment = os.environ | slurm_array(2, 3) | {"PATH": path} | variables
    run = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True)
    calls = folder / "calls"
    return run.returncode, calls.read_text().splitlines() if calls.exists() else []


def test_the_script_has_the_very_command_and_nothing_else_was_done(script: str, command: list[str]) -> None:
    (line,) = (line for line in script.splitlines() if line.startswith("srun "))
    assert shlex.split(line) == ["srun", "foresight", *command]
    assert not Path("it's C").exists()


def test_the_array_has_no_more_tasks_than_there_are_shards(script: str) -> None:
    options = [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]
    assert "--array=0-2" in options
    assert {"--requeue", "--signal=TERM@120", "--open-mode=append"} <= set(options)
    assert not any(" " in option for option in options), "sbatch would take the words behind an option for others"
    assert script.index("#SBATCH --signal") < script.index("\nsrun"), "sbatch reads no options behind the first command"


@pytest.mark.parametrize(
    ("status", "restarts", "calls"),
    [(75, "0", [QUEUED]), (75, "19", [QUEUED]), (75, "20", []), (0, "0", []), (1, "0", []), (2, "0", [])],
)
def test_only_an_interrupted_task_is_put_into_the_queue_again_and_not_for_ever(
    status: int, restarts: str, calls: list[str], script: str, tmp_path: Path
) -> None:
    assert submit(script, tmp_path, f"exit {status}", SLURM_RESTART_COUNT=restarts) == (status, calls)


def test_a_first_run_has_no_count_of_restarts(script: str, tmp_path: Path) -> None:
    assert submit(script, tmp_path, "exit 75") == (75, [QUEUED])


@pytest.mark.slow
def test_the_script_makes_the_cache(script: str, tmp_path: Path) -> None:
    assert submit(script, tmp_path, 'exec "$@"') == (0, [])
    assert foresight("verify", tmp_path / "it's C").returncode == 0


def test_pods_of_kubernetes_are_replaced_where_that_helps() -> None:
    manifest = files("pipelines.launchers").joinpath("templates/kubernetes-indexed-job.yaml").read_text()
    job = yaml.safe_load(manifest)["spec"]
    assert job["completionMode"] == "Indexed", "which tells the pods apart"
    assert job["template"]["spec"]["restartPolicy"] == "Never", "which a podFailurePolicy demands"
    (container,) = job["template"]["spec"]["containers"]
    assert container["command"][0] == "foresight", "a shell would keep the signal to itself"
    rules = job["podFailurePolicy"]["rules"]
    by_status = {rule["onExitCodes"]["values"][0]: rule["action"] for rule in rules if "onExitCodes" in rule}
    assert by_status == {75: "Ignore", 2: "FailJob"}
    assert {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule} == {container["name"]}
