"""A folder as a registry: each file in it is a component, known by its file name, or lists the names of several."""

import ast
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from foresight_cache.errors import UnknownName


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

    def module(self, name: str) -> ModuleType:
        """Imports the file of a component. Raises `UnknownName` with the nearest names."""
        files = self._files()
        if name not in files:
            raise UnknownName(self.kind, name, self.names())
        return importlib.import_module(f"{self.package}.{files[name]}")

    def component(self, name: str) -> Any:
        """Imports a component. Raises `UnknownName` with the nearest names."""
        contents = vars(self.module(name))
        return contents[self.table][name] if self.table in contents else contents[self.variable]

    def _files(self) -> dict[str, str]:
        """Returns the file, without its suffix, of each component."""
        files: dict[str, str] = {}
        for folder in importlib.import_module(self.package).__path__:
            for file in pkgutil.iter_modules([folder]):
                if not file.ispkg:
                    own = file.name.replace("_", "-") if self.hyphens else file.name
                    listed = _keys(Path(folder) / f"{file.name}.py", self.table) if self.table else ()
                    files |= dict.fromkeys(listed or (own,), file.name)
        return files


@cache
def _keys(path: Path, variable: str) -> tuple[str, ...]:
    """Reads the keys of a top-level dictionary of a file; none where it has no such dictionary."""
    for node in ast.parse(path.read_bytes()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys)) if name == variable:
                return tuple(ast.literal_eval(key) for key in keys if key is not None)
    return ()
