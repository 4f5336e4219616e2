"""obstore's native library, which works in a forked process too.

Its threads are those of the process that loaded it, and a fork has none of them: any call there would wait for ever
(tokio issue 4301). So a forked process loads an instance of its own, which takes 10 ms.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from functools import cache
from types import ModuleType

_NATIVE = "obstore._obstore"
_inherited: list[ModuleType] = []
"""The instances that were in use before a fork, the first one first; they are kept, for nothing may end them here."""


def library() -> ModuleType:
    """Returns obstore's functions, with its stores in `_store` and its errors in `exceptions`. Raises `ImportError`."""
    return _instance()


@cache
def _instance() -> ModuleType:
    if _inherited:
        return _second_instance(_inherited[0])
    from obstore import _obstore

    native: ModuleType = _obstore
    return native


def _second_instance(first: ModuleType) -> ModuleType:
    """Loads the library once more: from a copy, since the system's linker knows each file by its number."""
    modules = {name: module for name, module in sys.modules.items() if name.startswith("obstore")}
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(str(first.__file__), folder)
        spec = importlib.util.spec_from_file_location(_NATIVE, copy)
        if spec is None or spec.loader is None:
            raise ImportError(f"{copy} cannot be loaded")
        try:
            native = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(native)
        finally:
            sys.modules.update(modules)  # what it has put in their place there
    return native


def _after_fork() -> None:
    if first := sys.modules.get(_NATIVE):
        _inherited.append(_inherited[0] if _inherited else first)
        _inherited.append(_instance() if _instance.cache_info().currsize else first)
        _instance.cache_clear()


os.register_at_fork(after_in_child=_after_fork)
