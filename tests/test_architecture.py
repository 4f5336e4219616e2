"""The shape of the code: who may import whom, no cycles, and what stays light. Lazy imports count."""

import ast
import resource
import subprocess
import sys
from collections.abc import Container, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("foresight_cache", "foresight_probes", "pipelines", "data_manifests")
SHARED = {
    "reader",
    "points",
    "samples",
    "sample_table",
    "errors",
    "geometry",
    "registry",
    "records",
    "fingerprint",
    "runtime",
}
"""What the probes may know of the cache package."""


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
            if source == "foresight_probes" and (
                target == "pipelines" or (target == "foresight_cache" and not set(other.split(".")[1:2]) <= SHARED)
            ):
                wrong.append(f"{name} imports {other}")
    return sorted(wrong)


def test_no_import_cycle() -> None:
    assert cycle(graph()) is None


def test_layers() -> None:
    assert layer_violations(graph()) == []


def test_the_checks_can_fail(tmp_path: Path) -> None:
    for name, text in {
        "foresight_cache/reader.py": "def f():\n    from foresight_cache import writer\n",
        "foresight_cache/writer.py": "import foresight_cache.reader\nimport foresight_probes.bank\n",
        "foresight_probes/bank.py": "from foresight_cache import writer\nfrom foresight_cache.reader import Cache\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    edges = graph(tmp_path)
    assert cycle(edges) == ["foresight_cache.reader", "foresight_cache.writer", "foresight_cache.reader"]
    assert layer_violations(edges) == [
        "foresight_cache.writer imports foresight_probes.bank",
        "foresight_probes.bank imports foresight_cache.writer",
    ]


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


@pytest.mark.parametrize("package", ["foresight_cache", "foresight_probes", "pipelines.cli"])
def test_importing_a_package_is_light(package: str) -> None:
    assert loaded_by(f"import {package}") & {"torch", "transformers", "pytorch_lightning", "matplotlib"} == set()


def test_the_light_check_can_fail() -> None:
    assert "torch" in loaded_by("import torch")


def test_reading_a_cache_loads_no_torch(tmp_path: Path) -> None:
    from tests.support import planted

    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    statement = (
        f"from foresight_cache import open_cache; c = open_cache({str(tmp_path / 'C')!r}); "
        "c.samples; c['vit.block_01'][0]; c['vit.block_01'].to_xarray()[0].values; c._repr_html_()"
    )
    assert "torch" not in loaded_by(statement)


COMMANDS = (
    *("demo", "datasets", "prepare", "models", "plan", "extract", "inspect", "verify"),
    *("train-probe", "runs", "report", "bench"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_at_once(command: str) -> None:
    """Under a second of a processor's time, which a busy machine stretches less than that of a clock."""
    before = _seconds_of_children()
    run = subprocess.run([f"{sys.prefix}/bin/foresight", command, "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert "Example" in run.stdout
    assert _seconds_of_children() - before < 1


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_every_command_is_listed() -> None:
    from pipelines.cli import app

    registered = [*app.registered_commands, *app.registered_groups]
    assert sorted(command.name or "" for command in registered) == sorted(COMMANDS)


def test_no_pickle_and_no_foreign_code() -> None:
    forbidden = ("import pickle", "trust_remote_code=True", "weights_only=False", "yaml.load(")
    for path in modules(ROOT).values():
        text = path.read_text()
        assert not [word for word in forbidden if word in text], path
