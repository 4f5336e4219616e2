"""How a field of an options class appears on a command line; the class itself knows no command line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """Metadata of a field, as in `frames: Annotated[int, Flag(help="Frames taken of a clip.", at_least=1)] = 8`."""

    help: str
    """One sentence with the unit; it documents the field as well."""
    name: str | None = None
    """Name of the option, such as `--fps`; None derives it from the field's name."""
    at_least: float | None = None
    at_most: float | None = None
    parse: Callable[[str], Any] | None = None
    """Function from the option's text to the field's value; None where the field's type says how."""
    default: str | None = None
    """Text of the default value of a field that is parsed."""
    unset: str | None = None
    """Words for the help that say what a default of None, or an empty tuple, means."""
