"""Models run by hand, by the shape that their families derive from."""

import importlib
import pkgutil
from types import ModuleType


def reference_of(family: type) -> ModuleType | None:
    """Returns the reference with the name of the first of a family's classes' modules that has one."""
    shapes = [kind.__module__.rpartition(".")[2] for kind in family.__mro__]
    known = {module.name for module in pkgutil.iter_modules(__path__)}
    name = next((shape for shape in shapes if shape in known), None)
    return None if name is None else importlib.import_module(f"{__name__}.{name}")
