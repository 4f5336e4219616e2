"""The `--size` of inputs: a fixed height and width, or each input's own within the model's pixel budget."""

import re
from dataclasses import dataclass
from typing import Self

from foresight_cache.encoders import Encoder
from foresight_cache.errors import UsageError


@dataclass(frozen=True, slots=True)
class InputSize:
    """
    >>> InputSize.parse("448"), InputSize.parse("448x672").fixed, str(InputSize.parse("native"))
    (InputSize(fixed=(448, 448)), (448, 672), 'native')
    """

    fixed: tuple[int, int] | None
    """Height and width in pixels, or none: native."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `UsageError`."""
        if text == "native":
            return cls(None)
        found = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", text)
        if not found:
            raise UsageError(
                f"--size {text!r} is no size; give a square's side in pixels (448), HEIGHTxWIDTH (448x672) or 'native'"
            )
        height, width = found[1], found[2] or found[1]
        return cls((int(height), int(width)))

    def of(self, encoder: Encoder, height: int, width: int) -> tuple[int, int]:
        """Height and width that an original of this size is resized to."""
        return self.fixed or encoder.native_size(height, width)

    def __str__(self) -> str:
        return "x".join(map(str, self.fixed)) if self.fixed else "native"
