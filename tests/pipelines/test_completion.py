"""Tab in a real shell: the script that foresight prints, run by bash and zsh."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from foresight_cache.datasets import manifests
from foresight_probes import heads, tasks
from foresight_probes.results.tables import DEFAULT
from foresight_probes.training import loggers
from pipelines import completion
from tests.support import planted
from tests.support.command import FORESIGHT

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{FORESIGHT.parent}{os.pathsep}{os.environ['PATH']}",
    "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",  # --show-completion takes the name of the shell
}
BASH = """
source <(foresight --show-completion bash)
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_foresight_completion foresight
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ : }}
_arguments() {{ print -r -- "$@" }}
_files() {{ print files }}
source <(foresight --show-completion zsh)
words=({words}); CURRENT=$#words
_foresight_completion
"""


def offered_by_bash(*words: str, folder: Path | None = None) -> list[str]:
    script = BASH.format(words=" ".join(f"'{word}'" for word in words))
    run = subprocess.run(
        ["bash", "--norc", "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True, cwd=folder
    )
    assert not run.stderr
    return [line for line in run.stdout.splitlines() if line]


def test_bash_completes_commands_options_and_choices() -> None:
    assert offered_by_bash("foresight", "tr") == ["train-probe"]
    assert {"show", "duplicates"} <= set(offered_by_bash("foresight", "datasets", ""))
    assert offered_by_bash("foresight", "train-probe", "C", "--wei") == ["--weight-decay"]
    assert offered_by_bash("foresight", "extract", "S", "--fit", "l") == ["letterbox"]


def test_bash_completes_names() -> None:
    assert offered_by_bash("foresight", "prepare", "shap") == ["shapes"]
    assert offered_by_bash("foresight", "tasks", "show", "next") == ["next-frame"]
    assert offered_by_bash("foresight", "train-probe", "C", "--task", "boxes,counti") == ["boxes,counting"]
    assert offered_by_bash("foresight", "train-probe", "C", "--heads", "linea") == ["linear"]
    assert set(offered_by_bash("foresight", "extract", "S", "--points", "E1,")) >= {"E1,E2", "E1,q2"}


def test_bash_knows_the_points_of_a_cache(tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    assert "vit.block_01" in offered_by_bash("foresight", "train-probe", "C", "--points", "vit.", folder=tmp_path)
    assert "vit.block_01" in offered_by_bash("foresight", "pull", "C", "D", "--points", "vit.", folder=tmp_path)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_names() -> None:
    script = ZSH.format(words="foresight train-probe C --task boxes,pos")
    run = subprocess.run(["zsh", "-f", "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert '"boxes,position"' in run.stdout


def test_every_name_is_offered() -> None:
    assert completion.complete_datasets("") == list(manifests.names())
    assert completion.complete_tasks("") == completion.complete_task("") == list(tasks.names())
    assert completion.complete_head("") == list(heads.names())
    assert completion.complete_heads("") == [*heads.names(), *heads.ALIASES]
    assert completion.complete_columns("") == list(DEFAULT)
    assert completion.complete_loggers("") == list(loggers.NAMES)
    assert completion.complete_parts("pro") == ["probes"]


def test_a_name_that_is_in_the_list_is_not_offered_again() -> None:
    assert "boxes,boxes" not in completion.complete_tasks("boxes,")


def test_completion_loads_no_torch() -> None:
    """It answers while somebody waits for it."""
    words = {"COMP_WORDS": "foresight\ntrain-probe\nC\n--task\nbox", "COMP_CWORD": "4"}
    environment = {**ENVIRONMENT, **words, "_FORESIGHT_COMPLETE": "complete_bash", "PYTHONPROFILEIMPORTTIME": "1"}
    run = subprocess.run([FORESIGHT], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["boxes"]
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "pipelines.completion" in imported
    assert not imported & {"torch", "transformers", "pytorch_lightning", "matplotlib"}
