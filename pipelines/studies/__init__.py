"""The studies that come with the project, one YAML file each; `docs/studies.md` describes their schema."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from foresight_cache.errors import UnknownName

if TYPE_CHECKING:
    from foresight_probes.studies.study import Study

_FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Lists the studies in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def load(name_or_path: str) -> "Study":
    """Returns a study by name, or from a path, which has a `/` in it or ends in `.yaml` or `.yml`.

    Raises `UnknownName` for a name that is not listed and `ManifestError` for a file that is not a study.
    """
    from foresight_cache.yaml_lines import read_file
    from foresight_probes.studies.parsing import parse_study

    if os.sep in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        return parse_study(read_file(Path(name_or_path), "study", names()), name_or_path)
    if name_or_path not in names():
        raise UnknownName("study", name_or_path, names())
    return parse_study(read_file(_FOLDER / f"{name_or_path}.yaml", "study", names()), f"{name_or_path}.yaml")
