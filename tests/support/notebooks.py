"""Notebooks, run without a kernel: their cells one after another in a process of its own, as Jupyter runs them.

`python -m tests.support.notebooks` runs those of `docs/notebooks` and puts what they show into their files.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))

Outputs = list[dict[str, Any]]
"""What a cell shows, in the form of nbformat 4.5."""


def run(notebook: Path, folder: Path, variables: Mapping[str, str]) -> list[Outputs]:
    """Runs a notebook in a folder, and returns what each cell of code shows. Fails where one does."""
    shown = folder / f"{notebook.stem}.outputs.json"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("notebook_process.py"), notebook, shown],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{notebook.name}\n{done.stdout}\n{done.stderr}"
    outputs: list[Outputs] = json.loads(shown.read_text())
    return outputs


def cells(notebook: Path, kind: str = "code") -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == kind]


def alike(outputs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What of a cell's outputs is the same on all machines: kinds and words, no digits, digests and pictures."""
    return [
        (output["output_type"], _words(output.get("text", "")), {kind: _words(data) for kind, data in _data(output)})
        for output in outputs
    ]


def _data(output: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(kind, "" if kind == "image/png" else data) for kind, data in output.get("data", {}).items()]


def _words(text: str | Sequence[str]) -> str:
    whole = text if isinstance(text, str) else "".join(text)
    return " ".join(re.sub(r"-?(\b[0-9a-f]{12,}\b|\d[\d.,]*(e[+-]?\d+)?|NaN)", "#", whole).split())


def write(notebook: Path, outputs: Sequence[Outputs]) -> None:
    """Puts outputs into a notebook's file; it says nothing of when, where and by what it was run."""
    content = json.loads(notebook.read_text())
    code = (cell for cell in content["cells"] if cell["cell_type"] == "code")
    for number, (cell, shown) in enumerate(zip(code, outputs, strict=True), start=1):
        results = [{**output, "execution_count": number} if "execution_count" in output else output for output in shown]
        cell.update(execution_count=number, outputs=results, metadata={})
    notebook.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    chosen = [path for path in NOTEBOOKS if path.stem in sys.argv[1:] or len(sys.argv) == 1]
    for path in chosen:
        with tempfile.TemporaryDirectory() as place:
            write(path, run(path, Path(place), {"FORESIGHT_TEST_ASSETS": ""}))
        print(path.name, path.stat().st_size)
