"""The `--size` of inputs: a fixed height and width, or each input's own within the model's pixel budget."""

import re
from dataclasses import dataclass
from typing import Self

from foresight_cache.errors import UsageError

USUAL_SIZE = "448"
"""Size of an input where none is named."""
_HEIGHT_X_WIDTH = re.compile(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?")


@dataclass(frozen=True, slots=True)
class InputSize:
    """Size that images and frames are resized to.

    >>> InputSize.parse("448"), InputSize.parse("448x672").fixed, str(InputSize.parse("native"))
    (InputSize(fixed=(448, 448)), (448, 672), 'native')
    """

    fixed: tuple[int, int] | None
    """Height and width in pixels; None for the size that the model gives each input, `native`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the size that a text names: `448`, `448x672` or `native`. Raises `UsageError`."""
        if text == "native":
            return cls(None)
        sides = _HEIGHT_X_WIDTH.fullmatch(text)
        if not sides:
            raise UsageError(
                f"--size {text!r} is not understood, expected a square's side in pixels (448), HEIGHTxWIDTH (448x672) "
                "or 'native'"
            )
        height, width = sides[1], sides[2] or sides[1]
        return cls((int(height), int(width)))

    def __str__(self) -> str:
        return "x".join(map(str, self.fixed)) if self.fixed else "native"
