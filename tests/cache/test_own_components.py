"""Components in a folder of a user's own: known to the commands by their names, and refused where these are taken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foresight_cache.errors import UsageError
from foresight_cache.registry import OWN_FOLDERS, Registry
from tests.support.command import FORESIGHT

HEAD = '''"""A linear map of the largest value of each channel."""

from foresight_probes.heads.linear import PooledLinear


class Head(PooledLinear):
    """A linear map of the largest value of each channel."""
'''


def test_a_command_knows_a_head_in_a_folder_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "mine/heads").mkdir(parents=True)
    (tmp_path / "mine/heads/my_widest.py").write_text(HEAD)
    command = [FORESIGHT, "heads", "show", "my-widest"]
    known = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, OWN_FOLDERS: "mine"}
    )
    assert known.returncode == 0, known.stderr
    assert "A linear map of the largest value of each channel." in known.stdout
    unknown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert unknown.returncode == 2
    assert "unknown head 'my-widest'" in unknown.stderr


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of one component beside which a user's own are put."""
    for folder in ("shop/goods", "mine/goods", "others/goods"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/goods/__init__.py").write_text("")
    (tmp_path / "shop/goods/red_tea.py").write_text('"""Red."""\nTea = 1\n')
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Registry("shop.goods", "tea", hyphens=True, variable="Tea", table="TEAS")


def test_folders_of_one_s_own(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine/goods/green_tea.py").write_text('"""Green."""\nTea = 2\n')
    Path("others/goods/several.py").write_text('"""Several."""\nWhite = 3\nTEAS = {"white": White}\n')
    assert registry.names() == ("red-tea",)
    monkeypatch.setenv(OWN_FOLDERS, "mine:others")
    assert registry.names() == ("green-tea", "red-tea", "white")
    assert [registry.component(name) for name in registry.names()] == [2, 1, 3]
    assert registry.summaries()["green-tea"] == "Green."


@pytest.mark.parametrize(
    ("file", "text"),
    [("red_tea", "Tea = 2\n"), ("more", 'Red = 2\nTEAS = {"red-tea": Red}\n')],
    ids=["file name", "table"],
)
def test_a_name_that_is_taken(registry: Registry, monkeypatch: pytest.MonkeyPatch, file: str, text: str) -> None:
    Path(f"mine/goods/{file}.py").write_text(text)
    monkeypatch.setenv(OWN_FOLDERS, "mine")
    with pytest.raises(UsageError, match=f"mine/goods/{file}.py is the tea 'red-tea', which there is already; give"):
        registry.names()


def test_a_folder_that_is_not_there(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_FOLDERS, "mien")
    with pytest.raises(UsageError, match="FORESIGHT_COMPONENTS names 'mien', which is no folder; name one with"):
        registry.names()
