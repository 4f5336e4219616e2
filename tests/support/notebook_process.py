"""The process in which a notebook's cells run: `python notebook_process.py NOTEBOOK OUTPUTS.json`.

Of IPython it knows what the notebooks use: a line that begins with `!` is a command, in which `$NAME` is a value;
`%%writefile FILE` writes a cell to a file; `display(…)` shows something, and so do the last expression of a cell and
the figures that it has drawn.
"""

import ast
import base64
import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")


class Cells:
    """Cells that share their names, each with what it shows."""

    def __init__(self) -> None:
        self._shown: list[dict[str, Any]] = []
        self._names = {"__name__": "__main__", "display": self._display, "_command": self._command}

    def run(self, source: str) -> list[dict[str, Any]]:
        """Runs a cell and returns its outputs. Raises what it raises."""
        self._shown = shown = []
        if source.startswith("%%writefile "):
            first, _, text = source.partition("\n")
            path = Path(first.split()[1])
            path.write_text(text)
            self._print(f"Writing {path}\n")
            return shown
        lines = [f"_command({line[1:].strip()!r})" if line.startswith("!") else line for line in source.splitlines()]
        body = ast.parse("\n".join(lines)).body
        last = ast.Expression(body.pop().value) if body and isinstance(body[-1], ast.Expr) else None  # type: ignore[attr-defined]
        with redirect_stdout(_Printed(self)):
            exec(compile(ast.Module(body, []), "<cell>", "exec"), self._names)  # noqa: S102 - it is what a notebook is
            value = None if last is None else eval(compile(last, "<cell>", "eval"), self._names)  # noqa: S307
        if value is not None and not source.rstrip().endswith(";"):
            result = {"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": _data(value)}
            shown.append(result)
        self._draw()
        return shown

    def _print(self, text: str) -> None:
        if not text:
            return
        if not (self._shown and self._shown[-1]["output_type"] == "stream"):
            self._shown.append({"output_type": "stream", "name": "stdout", "text": []})
        whole = "".join(self._shown[-1]["text"]) + text
        self._shown[-1]["text"] = whole.splitlines(keepends=True)

    def _display(self, value: Any) -> None:
        self._shown.append({"output_type": "display_data", "metadata": {}, "data": _data(value)})

    def _command(self, words: str) -> None:
        words = re.sub(r"\$(\w+)", lambda found: str(self._names.get(found[1], found[0])), words)
        done = subprocess.run(words, shell=True, stdout=subprocess.PIPE, text=True)  # noqa: S602 - as `!` does
        self._print(done.stdout)
        if done.returncode:
            raise RuntimeError(f"{words}: exit status {done.returncode}")

    def _draw(self) -> None:
        from matplotlib import pyplot

        for number in pyplot.get_fignums():
            picture = io.BytesIO()
            pyplot.figure(number).savefig(picture, dpi=72, bbox_inches="tight", metadata={"Software": None})
            encoded = base64.b64encode(picture.getvalue()).decode()
            data = {"image/png": encoded, "text/plain": ["<Figure>"]}
            self._shown.append({"output_type": "display_data", "metadata": {}, "data": data})
        pyplot.close("all")


class _Printed(io.TextIOBase):
    """Standard output of a cell."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def write(self, text: str) -> int:
        self._cells._print(text)
        return len(text)


def _data(value: Any) -> dict[str, list[str]]:
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    html = value._repr_html_() if hasattr(value, "_repr_html_") else None
    if not html or "<svg" in html:  # xarray's, which has other random ids each time
        return data
    return {**data, "text/html": html.splitlines(keepends=True)}


if __name__ == "__main__":
    notebook, outputs = map(Path, sys.argv[1:])
    running = Cells()
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    outputs.write_text(json.dumps([running.run("".join(cell["source"])) for cell in code]))
