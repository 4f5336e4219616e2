"""The studies that come with the project, one YAML file each; `docs/studies.md` describes their schema."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from foresight_cache.errors import ManifestError, UnknownName

if TYPE_CHECKING:
    from foresight_probes.studies.study import Study

_FOLDER = Path(__file__).parent
_LARGEST = 1 << 20
"""Largest number of bytes of a study file; a larger one is not parsed."""


def names() -> tuple[str, ...]:
    """Lists the studies in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load(name_or_path: str) -> "Study":
    """Returns a study by name, or from a path, which has a `/` in it or ends in `.yaml` or `.yml`.

    Raises `UnknownName` for a name that is not listed and `ManifestError` for a file that is not a study.
    """
    from foresight_probes.studies.parsing import parse_study

    if os.sep in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        return parse_study(_text(Path(name_or_path)), name_or_path)
    if name_or_path not in names():
        raise UnknownName("study", name_or_path, names())
    return parse_study(_text(_FOLDER / f"{name_or_path}.yaml"), f"{name_or_path}.yaml")


def _text(path: Path) -> str:
    if not path.is_file():
        raise ManifestError(f"there is no study at {path}; expected a YAML file, or one of: {', '.join(names())}")
    if path.stat().st_size > _LARGEST:
        raise ManifestError(f"{path} has {path.stat().st_size:,} bytes; a study has at most {_LARGEST:,}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text (byte {error.start}); a study is a YAML file") from None
