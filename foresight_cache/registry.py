"""A folder as a registry: each file in it is a component, known by its file name."""

import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType

from foresight_cache.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Registry:
    """The components in a package's folder; its subfolders hold parts of components and are passed over."""

    package: str
    """Dotted name of the package."""
    kind: str
    """What a component is called in an error, such as `model family`."""
    hyphens: bool = False
    """Whether names are written with hyphens where file names have underscores."""

    def names(self) -> tuple[str, ...]:
        """Lists the components in alphabetical order of their files; imports none of them.

        >>> "prepare" in Registry("pipelines.bench", "benchmark").names()
        True
        """
        files = pkgutil.iter_modules(importlib.import_module(self.package).__path__)
        return tuple(self._spelled(file.name, "_", "-") for file in files if not file.ispkg)

    def module(self, name: str) -> ModuleType:
        """Imports the file of a component. Raises `UnknownName` with the nearest names."""
        if name not in self.names():
            raise UnknownName(self.kind, name, self.names())
        return importlib.import_module(f"{self.package}.{self._spelled(name, '-', '_')}")

    def _spelled(self, name: str, old: str, new: str) -> str:
        return name.replace(old, new) if self.hyphens else name
