"""Documentation cannot rot: every block runs, or says why not."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    reason: str | None


def blocks(page: Path) -> list[Block]:
    return [Block(found["language"], found["code"], found["reason"]) for found in BLOCK.finditer(page.read_text())]


def run(block: Block, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euc"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, block.code], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_block_runs(tmp_path: Path) -> None:
    """The commands of the README first, then all others where these were run."""
    readme = [block for block in blocks(ROOT / "README.md") if block.language == "bash"]
    others = [block for page in PAGES for block in blocks(page) if block not in readme]
    for block in [*readme, *others]:
        assert block.language in ("bash", "python", "yaml", "json"), f"a {block.language} block that is not tested"
        if block.language in ("bash", "python") and not block.reason:
            run(block, tmp_path)
    assert (tmp_path / "report/report.html").exists()


def test_a_rotten_block_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no_such_name"):
        run(Block("python", "no_such_name", None), tmp_path)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_command_and_component_is_documented() -> None:
    from foresight_cache import encoders
    from foresight_probes import controls, heads, tasks
    from foresight_probes.adapters import networks
    from pipelines.cli import app

    text = "".join(page.read_text() for page in PAGES)
    names = [f"foresight {command.name}" for command in [*app.registered_commands, *app.registered_groups]]
    for name in [*names, *encoders.names(), *controls.names(), *heads.names(), *tasks.names(), *networks.names()]:
        assert name in text, f"{name} is not documented"


def test_every_field_of_a_fingerprint_is_documented() -> None:
    from foresight_cache.encoders import LoadOptions, load
    from foresight_cache.extraction.cache_plan import fingerprint_of
    from foresight_cache.extraction.input_spec import InputSpec
    from foresight_cache.extraction.inputs import Inputs

    encoder = load("tiny:qwen2_5_vl", LoadOptions())
    made = fingerprint_of(Inputs(encoder, InputSpec(), "clip"), 2048, "shapes", "0")
    page = (ROOT / "docs/cache_format.md").read_text()
    section = page[page.index("### Fingerprint") : page.index("## Arrays")]
    listed = set(re.findall(r"`(\w+)\.([\w*]+)", section))
    for part, fields in made.items():
        for field in fields:
            assert (part, field) in listed or (part, "*") in listed, f"{part}.{field} is not documented"


def test_no_file_tells_of_the_machine_that_it_was_made_on() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a git checkout")
    host = "pypi" + ".org"
    for name in files.stdout.splitlines():
        path = ROOT / name
        if path.suffix not in (".png", ".lock") and path.is_file():
            text = path.read_text(errors="ignore")
            assert host not in text, name
            assert f"{ROOT.parent}/" not in text, name
