"""Places where a cache can be read or written: the protocols of a store, one file per kind, and what chooses one."""

import os
import zipfile
from pathlib import Path

from foresight_cache.errors import NotACache, UsageError
from foresight_cache.format.stores.fsspec_store import FsspecStore
from foresight_cache.format.stores.local import LocalStore
from foresight_cache.format.stores.object_store import ObjectStore
from foresight_cache.format.stores.store import ShowsWork, Store
from foresight_cache.format.stores.store_settings import SERVICES, service_of
from foresight_cache.format.stores.writable import WritableStore
from foresight_cache.format.stores.zip_store import ZipStore

__all__ = [
    "FsspecStore",
    "LocalStore",
    "ObjectStore",
    "ShowsWork",
    "Store",
    "WritableStore",
    "ZipStore",
    "open_store",
    "open_writable",
]


def open_store(place: str | os.PathLike[str]) -> Store:
    """Opens a local directory, a zip file or an object store: a path, or a URL with a scheme.

    Raises `NotACache` for a zip file that is not whole, and `UsageError` for a URL that nothing here can open.
    """
    text = os.fspath(place)
    if "://" in text:
        return ObjectStore(text) if service_of(text) else FsspecStore(text)
    path = Path(text)
    return ZipStore(path) if _is_zip(path) else LocalStore(path)


def open_writable(place: str | os.PathLike[str], scratch: Path | None = None) -> WritableStore:
    """Opens a place where a cache can be written: a local directory, which need not exist yet, or an object store.

    `scratch` is the folder where objects for a store are made before they are sent. Raises `UsageError` for a place
    that can only be read, and `NotACache` for a file.
    """
    text = os.fspath(place)
    if "://" in text and service_of(text):
        return ObjectStore(text, scratch)
    if "://" in text:
        raise UsageError(
            f"{text} can be read but not written; name a local directory with --out, or an object store "
            f"({', '.join(f'{scheme}://' for scheme in SERVICES)})"
        )
    path = Path(text)
    if _is_zip(path):
        raise UsageError(f"{text} is a zip file, which can be read but not written; name a directory")
    if path.exists() and not path.is_dir():
        raise NotACache(f"{text} is a file; name a new directory or an existing cache")
    return LocalStore(path)


def _is_zip(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))
