"""Notebooks run as they are committed, and show what is committed with them."""

import json
import re
from pathlib import Path

import pytest

from tests.support import notebooks
from tests.support.notebooks import NOTEBOOKS, ROOT, alike, cells

MOST_BYTES, MOST_BYTES_OF_PICTURE = 200_000, 100_000
OF_PHOTOGRAPHS = "from_coco_to_a_verdict"
"""The notebook that takes the photographs of the test assets where there are some."""
MACHINE = re.compile(r"(?<![\w.])/(home|root|tmp|work|usr|mnt|Users|data/\w+/)\b|site-packages")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_is_committed(notebook: Path, tmp_path: Path) -> None:
    shown = notebooks.run(notebook, tmp_path, {"FORESIGHT_TEST_ASSETS": ""})
    for cell, outputs in zip(cells(notebook), shown, strict=True):
        assert alike(outputs) == alike(cell["outputs"]), "run `python -m tests.support.notebooks`: " + "".join(
            cell["source"]
        )


@pytest.mark.slow
def test_photographs_come_to_a_verdict(assets: Path, tmp_path: Path) -> None:
    """Four are too few for any."""
    notebook = next(path for path in NOTEBOOKS if path.stem == OF_PHOTOGRAPHS)
    shown = notebooks.run(notebook, tmp_path, {"FORESIGHT_TEST_ASSETS": str(assets)})
    assert "UNDECIDED" in json.dumps(shown)
    samples = list((tmp_path / "caches/asked/samples").glob("0*.json"))
    assert samples
    assert all("coco/val2017/" in path.read_text() for path in samples)


def test_there_are_notebooks() -> None:
    names = {path.stem for path in NOTEBOOKS}
    assert len(names) == 5
    page = (ROOT / "docs/notebooks/README.md").read_text()
    assert all(f"({name}.ipynb)" in page for name in names)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_tells_of_no_machine(notebook: Path) -> None:
    text = notebook.read_text()
    assert len(text.encode()) < MOST_BYTES
    assert not MACHINE.search(without_pictures(text)), MACHINE.search(without_pictures(text))
    content = json.loads(text)
    assert content["metadata"]["language_info"] == {"name": "python"}, "no version of it"
    code = cells(notebook)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell["metadata"] == {} for cell in content["cells"])
    pictures = [output["data"].get("image/png", "") for cell in code for output in cell["outputs"] if "data" in output]
    assert max(map(len, pictures), default=0) * 3 // 4 < MOST_BYTES_OF_PICTURE
    for target in re.findall(r"\]\(([^)#]+)", "".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))):
        assert (notebook.parent / target).exists(), target


def without_pictures(text: str) -> str:
    return re.sub(r'"image/png": "[^"]*"', "", text)


@pytest.mark.parametrize("path", ["/home/someone/x", "'/tmp/a'", "/mnt/main", "/usr/lib/python3/site-packages/x.py"])
def test_a_path_of_a_machine_is_found(path: str) -> None:
    assert MACHINE.search(f'"text": "it is at {path}"')
    assert not MACHINE.search("caches/first/vit.pre_merge, ../mnt/x, 3/4, [studies](../studies.md#tmp)")


def test_a_rotten_notebook_is_found(tmp_path: Path) -> None:
    """A cell that fails, one that shows something else, and pictures that are not there any more."""
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": 1, "source": ["1 / 0"], "outputs": []}
    rotten = tmp_path / "rotten.ipynb"
    rotten.write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        notebooks.run(rotten, tmp_path, {})
    rotten.write_text(
        json.dumps({"cells": [{**cell, "source": ["x = 2\n", "!echo $x\n", "print(x + 1)\n", "'four'"]}]})
    )
    [shown] = notebooks.run(rotten, tmp_path, {})
    assert shown[0]["text"] == ["2\n", "3\n"]
    assert shown[1]["data"] == {"text/plain": ["'four'"]}
    assert alike(shown) == alike([{**shown[0], "text": "7\n8\n"}, shown[1]])
    assert alike(shown) != alike([{**shown[0], "text": "two\n3\n"}, shown[1]])
    assert alike(shown) != alike(shown[:1])
