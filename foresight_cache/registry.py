"""A folder as a registry: each file in it is a component, known by its file name, or lists the names of several.

Folders of a user's own are registries too: where the variable `FORESIGHT_COMPONENTS` names the folder `mine`, or
several with a colon between them, `mine/heads/widest.py` is the head `widest`, beside the heads that are there.
"""

import ast
import importlib
import os
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from foresight_cache.errors import UnknownName, UsageError

OWN_FOLDERS = "FORESIGHT_COMPONENTS"
"""Variable of the environment with folders of a user's own components, of which `heads`, `tasks`, `encoders` and their
like are subfolders. Their files are run as code, as those on `PYTHONPATH` are."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The components in a package's folder; its subfolders hold parts of components and are passed over."""

    package: str
    """Dotted name of the package."""
    kind: str
    """Word for a component in an error, such as `model family`."""
    hyphens: bool = False
    """True where names are written with hyphens and file names with underscores."""
    variable: str = ""
    """Name, in a file, of its component."""
    table: str = ""
    """Name, in a file with several components, of the top-level dictionary of them, whose keys are written out."""

    def names(self) -> tuple[str, ...]:
        """Lists the components in alphabetical order; imports none of them.

        >>> "prepare" in Registry("pipelines.bench", "benchmark").names()
        True
        """
        return tuple(sorted(self._files()))

    def module_name(self, name: str) -> str:
        """Returns the dotted name of the file of a component. Raises `UnknownName` with the nearest names.

        >>> Registry("pipelines.bench", "benchmark").module_name("prepare")
        'pipelines.bench.prepare'
        """
        return f"{self.package}.{_file_of(self, name)}"

    def module(self, name: str) -> ModuleType:
        """Imports the file of a component. Raises `UnknownName` with the nearest names."""
        return importlib.import_module(self.module_name(name))

    def component(self, name: str) -> Any:
        """Imports a component. Raises `UnknownName` with the nearest names."""
        contents = vars(self.module(name))
        return contents[self.table][name] if self.table in contents else contents[self.variable]

    def summaries(self) -> dict[str, str]:
        """Returns the first sentence about each component, by name in alphabetical order; imports none of them.

        It is that of the file's docstring; where a file has several components, that of each one's own.

        >>> Registry("foresight_cache.datasets.layouts", "dataset family").summaries()["image_folder"]
        'Any folder of images, in folders per split and per class, per class alone, or without either.'
        """
        sentences = {}
        for name, file in sorted(self._files().items()):
            module = _parsed(self._path(file))
            described: ast.Module | ast.ClassDef = module
            if class_name := _table(module, self.table).get(name):
                classes = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == class_name)
                described = next(classes, module)
            sentences[name] = first_sentence(ast.get_docstring(described) or "")
        return sentences

    def _files(self) -> dict[str, str]:
        """Returns the file, without its suffix, of each component."""
        files: dict[str, str] = {}
        for folder in self._folders():
            for file in pkgutil.iter_modules([folder]):
                if not file.ispkg:
                    own = file.name.replace("_", "-") if self.hyphens else file.name
                    listed = _table(_parsed(Path(folder) / f"{file.name}.py"), self.table) if self.table else ()
                    added = dict.fromkeys(listed or (own,), file.name)
                    if taken := files.keys() & added.keys() or {file.name} & {*files.values()}:
                        raise UsageError(
                            f"{Path(folder) / file.name}.py is the {self.kind} {min(taken)!r}, which there is already; "
                            "give it another name"
                        )
                    files |= added
        return files

    def _folders(self) -> list[str]:
        """Returns the package's folder and those of a user's own, from which Python then imports as well."""
        path = importlib.import_module(self.package).__path__
        for root in filter(None, os.environ.get(OWN_FOLDERS, "").split(os.pathsep)):
            if not Path(root).is_dir():
                raise UsageError(
                    f"{OWN_FOLDERS} names {root!r}, which is no folder; name one with heads/ or tasks/ in it"
                )
            own = str(Path(root).absolute() / self.package.rpartition(".")[2])
            if Path(own).is_dir() and own not in path:
                path.append(own)
        return list(path)

    def _path(self, file: str) -> Path:
        folders = map(Path, self._folders())
        return next(path for folder in folders if (path := folder / f"{file}.py").exists())


@cache
def _file_of(registry: Registry, name: str) -> str:
    """Returns the file of a component, remembered once it is found. Raises `UnknownName`."""
    files = registry._files()
    if name not in files:
        raise UnknownName(registry.kind, name, registry.names())
    return files[name]


def first_sentence(docstring: str) -> str:
    """Returns the first sentence of a docstring on one line.

    >>> first_sentence("Boxes of up to ten objects,\\nas a set. Then more.")
    'Boxes of up to ten objects, as a set.'
    """
    text = " ".join(docstring.split("\n\n")[0].split())
    head, period, _ = text.partition(". ")
    return head + period.strip()


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _table(module: ast.Module, variable: str) -> dict[str, str]:
    """Reads a top-level dictionary of names in a file; empty where it has no such dictionary."""
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys, values=values)) if name == variable:
                pairs = zip(keys, values, strict=True)
                return {ast.literal_eval(key): ast.unparse(value) for key, value in pairs if key is not None}
    return {}
