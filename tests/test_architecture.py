"""The shape of the code: who may import whom, no cycles, and what stays light. Lazy imports count."""

import ast
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("foresight_cache", "foresight_probes", "pipelines", "data_manifests")
SHARED = {
    *("reader", "points", "samples", "yaml_lines", "sample_table", "errors", "geometry"),
    *("lists", "registry", "records", "runtime", "finiteness", "text_index_files", "json_lines"),
}
"""The modules and folders of the cache package that the probes may know."""
PLANTING = "foresight_probes.calibration"
"""The one folder of the probes that writes caches, planted ones."""
WRITING = ("foresight_cache.writer", "foresight_cache.format.layout", "foresight_cache.format.commits")
"""The modules that this folder may know besides."""
DECODING = "foresight_probes.adapters.decoder"
"""The one file of the probes that runs a frozen model, to make pictures of latents."""
LONGEST_MODULE, LONGEST_FUNCTION = 350, 60
"""Lines; what is longer usually holds two ideas."""
MOST_FLOORS = 9
"""Rooms on the longest way down from the command line, where a room is a module or folder of `foresight_cache`, the
probes or the pipelines."""


def modules(root: Path) -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: Container[str]) -> Iterator[str]:
    """Every import in a file, inside functions too, but not those for the type checker alone.

    `from package import module` is an import of the module, `from package import name` one of the package.
    """
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in inner)
        stack += ast.iter_child_nodes(node)


@cache
def graph(root: Path = ROOT) -> dict[str, set[str]]:
    known = modules(root)
    return {name: {other for other in imports(path, known) if other in known} - {name} for name, path in known.items()}


def cycle(edges: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str] | None:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return None
        for other in sorted(edges[name]):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return None

    return next((found for name in sorted(edges) if (found := visit(name, []))), None)


def layer_violations(edges: dict[str, set[str]]) -> list[str]:
    """Data flows one way: the cache knows nothing of probes, the probes only the cache's door."""
    wrong = []
    for name, others in edges.items():
        for other in others:
            source, target = name.split(".")[0], other.split(".")[0]
            if source == "foresight_cache" and target in ("foresight_probes", "pipelines"):
                wrong.append(f"{name} imports {other}")
            plants = name.startswith(f"{PLANTING}.") and other in WRITING
            allowed = plants or _is_shared(other) or (name == DECODING and other == "foresight_cache.encoders")
            if source == "foresight_probes" and (
                target == "pipelines" or (target == "foresight_cache" and not allowed)
            ):
                wrong.append(f"{name} imports {other}")
    return sorted(wrong)


def _is_shared(module: str) -> bool:
    return set(module.split(".")[1:2]) <= SHARED


def rooms(edges: Mapping[str, set[str]], package: str) -> dict[str, set[str]]:
    """The same arrows between the rooms of a package: its files, its folders, and its `__init__` for itself."""

    def room(module: str) -> str | None:
        if module == package:
            return "__init__"
        return module.removeprefix(f"{package}.").split(".")[0] if module.startswith(f"{package}.") else None

    arrows: dict[str, set[str]] = {}
    for module, others in edges.items():
        if source := room(module):
            targets = {target for other in others if (target := room(other))}
            arrows.setdefault(source, set()).update(targets - {source})
    return arrows


def whole_house(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows between the rooms of `foresight_cache`, the probes and the pipelines."""

    def room(module: str) -> str:
        package, *inner = module.split(".")
        return inner[0] if package == "foresight_cache" and inner else package

    arrows: dict[str, set[str]] = {}
    for module, others in edges.items():
        arrows.setdefault(room(module), set()).update({room(other) for other in others} - {room(module)})
    return arrows


def floors(arrows: Mapping[str, set[str]]) -> int:
    """The number of rooms on the longest way down."""

    def height(room: str) -> int:
        return 1 + max((height(other) for other in arrows[room]), default=0)

    return max(map(height, arrows))


def test_no_import_cycle() -> None:
    assert cycle(graph()) is None


def test_layers() -> None:
    assert layer_violations(graph()) == []


FOLDERS = sorted(name for name, path in modules(ROOT).items() if path.name == "__init__.py")


@pytest.mark.parametrize("package", FOLDERS)
def test_no_arrow_runs_back_up_in_a_folder(package: str) -> None:
    """Protocols are below what implements them, and registries above the parts of their components."""
    assert cycle(rooms(graph(), package)) is None


def test_the_house_has_few_floors() -> None:
    arrows = whole_house(graph())
    assert cycle(arrows) is None
    assert floors(arrows) <= MOST_FLOORS


def test_modules_and_functions_stay_small() -> None:
    long = []
    for name, path in modules(ROOT).items():
        text = path.read_text()
        parts = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        long += [f"{name}.{part.name}" for part in parts if _lines(part) > LONGEST_FUNCTION]
        long += [name] if len(text.splitlines()) > LONGEST_MODULE else []
    assert long == []


def _lines(function: ast.FunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


@pytest.mark.parametrize("package", FOLDERS)
def test_a_folder_states_its_idea(package: str) -> None:
    assert ast.get_docstring(ast.parse(modules(ROOT)[package].read_text()))


def test_the_checks_can_fail(tmp_path: Path) -> None:
    edges = graph_of(
        tmp_path / "modules",
        {
            "foresight_cache/reader.py": "def f():\n    from foresight_cache import writer\n",
            "foresight_cache/writer.py": "import foresight_cache.reader\nimport foresight_probes.bank\n",
            "foresight_probes/bank.py": "from foresight_cache import reader, writer\n",
            "foresight_probes/calibration/planted.py": "from foresight_cache import verify, writer\n",
            "foresight_probes/adapters/decoder.py": "from foresight_cache import encoders, writer\n",
            "foresight_probes/adapters/training.py": "from foresight_cache import encoders\n",
            "foresight_cache/encoders.py": "",
            "foresight_cache/verify.py": "",
        },
    )
    assert cycle(edges) == ["foresight_cache.reader", "foresight_cache.writer", "foresight_cache.reader"]
    assert layer_violations(edges) == [
        "foresight_cache.writer imports foresight_probes.bank",
        "foresight_probes.adapters.decoder imports foresight_cache.writer",
        "foresight_probes.adapters.training imports foresight_cache.encoders",
        "foresight_probes.bank imports foresight_cache.writer",
        "foresight_probes.calibration.planted imports foresight_cache.verify",
    ]
    edges = graph_of(
        tmp_path / "rooms",
        {
            "foresight_cache/encoders/__init__.py": "def f():\n    from foresight_cache.encoders.bases import qwen\n",
            "foresight_cache/encoders/bases/qwen.py": "from foresight_cache.encoders.protocol import Encoder\n",
            "foresight_cache/encoders/protocol.py": "import foresight_cache.encoders\n",
        },
    )
    assert cycle(rooms(edges, "foresight_cache.encoders")) == ["__init__", "bases", "protocol", "__init__"]
    assert floors({"cli": {"reader", "writer"}, "writer": {"reader"}, "reader": set()}) == 3


def graph_of(root: Path, files: Mapping[str, str]) -> dict[str, set[str]]:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_text(text)
    return graph(root)


HEAVY = {"torch", "transformers", "pytorch_lightning", "matplotlib"}


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


@pytest.mark.parametrize("package", ["foresight_cache", "foresight_probes", "pipelines.cli"])
def test_importing_a_package_is_light(package: str) -> None:
    assert loaded_by(f"import {package}") & HEAVY == set()


def test_the_light_check_can_fail() -> None:
    assert "torch" in loaded_by("import torch")


def test_reading_a_cache_loads_no_torch(tmp_path: Path) -> None:
    from tests.support import planted

    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    statement = (
        f"from foresight_cache import open_cache; c = open_cache({str(tmp_path / 'C')!r}); c.samples; c._repr_html_(); "
        "p = c['vit.block_01']; p[0]; p.to_xarray()[0].values; p.zarr[0]; import foresight_cache.xarray_backend"
    )
    assert "torch" not in loaded_by(statement)


COMMANDS = (
    *("demo", "datasets", "prepare", "models", "plan", "extract", "inspect", "verify", "pull", "push", "repair"),
    *("tasks", "heads", "train-probe", "similarity", "runs", "report", "recode", "calibrate", "compare", "data-curve"),
    *("study", "discrepancy", "bench", "merge-tokens", "judge", "answers", "lens", "measure", "adapter"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_torch(command: str) -> None:
    """The import of torch is what makes help slow."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from pipelines.cli import main; main()", command, "--help"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0
    assert "Example" in run.stdout
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    assert "pipelines.cli" in imported
    assert imported & HEAVY == set()


def test_every_command_is_listed() -> None:
    from pipelines.cli import app

    registered = [*app.registered_commands, *app.registered_groups]
    assert sorted(command.name or "" for command in registered) == sorted(COMMANDS)


def test_no_pickle_and_no_foreign_code() -> None:
    forbidden = ("import pickle", "trust_remote_code=True", "weights_only=False", "yaml.load(")
    for path in modules(ROOT).values():
        text = path.read_text()
        assert not [word for word in forbidden if word in text], path
