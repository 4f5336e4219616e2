"""The validity of a calibration: a digest of the code and the options that decide what an instrument reads.

It covers the files of the head and of the task, of the solvers and the training loop, and all that these import from
the folders named here; a change elsewhere leaves a calibration valid.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from foresight_cache.records import canonical_json
from foresight_probes import heads, tasks
from foresight_probes.options import TrainingOptions
from foresight_probes.training.solvers import solver_of

PACKAGE = Path(__file__).parents[1]
FOLDERS = ("heads", "tasks", "training", "features", "metrics")
"""Folders whose code decides what is read."""
SOLVING, TRAINING = "training.closed_forms", "training.search"
"""Modules by which heads are solved, and by which others are trained."""
NEUTRAL_OPTIONS = (
    *("train_share", "validation_share", "folds", "refits", "shuffle_seed", "column", "resamples", "confidence"),
)
"""Options of training that a calibration holds for whatever they are."""


def digest(task: str, head: str, options: TrainingOptions | None = None, *, package: Path = PACKAGE) -> str:
    """Returns the SHA-256 of all code and options that decide what a head reads for a task.

    Args:
        task: Name of a task.
        head: Name of a head.
        options: Options of training; the defaults where None.
        package: Folder of `foresight_probes`, of this or another version.

    Raises: `UnknownName`.
    """
    found = SOLVING if solver_of(tasks.load(task), head) else TRAINING
    roots = (heads.module_name(head), tasks.module_name(task), f"{package.name}.{found}")
    total = hashlib.sha256(canonical_json(_deciding(options or TrainingOptions())))
    for module, path in sorted(_reached(roots, package).items()):
        total.update(f"{module} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _deciding(options: TrainingOptions) -> dict[str, object]:
    return {name: value for name, value in options.recipe().items() if name not in NEUTRAL_OPTIONS}


def _reached(roots: tuple[str, ...], package: Path) -> dict[str, Path]:
    """Returns the modules that are imported from these, themselves among them, with their files."""
    reached: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        path = _path(module, package)
        if path is None or module in reached:
            continue
        reached[module] = path
        waiting += [module.rpartition(".")[0], *_imports(path)]
    return reached


def _path(module: str, package: Path) -> Path | None:
    """Returns the file of a module of the deciding folders; None for any other."""
    name, *inner = module.split(".")
    if name != package.name or not inner or inner[0] not in FOLDERS:
        return None
    place = package.joinpath(*inner)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Returns what a file imports, inside functions too: modules, and names that may be modules."""
    return tuple(_imported(ast.parse(path.read_bytes())))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
