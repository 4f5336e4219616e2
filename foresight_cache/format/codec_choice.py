"""The codecs that a user asks for, as `--codec` takes them: `lz4`, or `small,pixels=lz4`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.format.codecs import CODECS, CodecName
from foresight_cache.lists import split_list


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecChoice:
    """One codec for all points, and others for some of them."""

    usual: CodecName | None = None
    """Codec of all points but those of `by_point`; None where none was asked for."""
    by_point: Mapping[str, CodecName] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the choice that an option's text means; the empty one asks for nothing.

        Raises `UsageError`.

        >>> choice = CodecChoice.parse("small,pixels=lz4")
        >>> choice.asked("vit.block_08"), choice.asked("pixels"), CodecChoice.parse("").asked("pixels")
        ('small', 'lz4', None)
        """
        usual: CodecName | None = None
        by_point: dict[str, CodecName] = {}
        for element in split_list(text, "--codec") if text else ():
            name, separator, codec = element.rpartition("=")
            if name in by_point or (not separator and usual is not None):
                raise UsageError(f"--codec is {text!r}, which names two codecs for {name or 'all points'}")
            if separator:
                by_point[name] = _known(codec)
            else:
                usual = _known(codec)
        return cls(usual=usual, by_point=by_point)

    @property
    def is_empty(self) -> bool:
        """True where no codec was asked for at any point."""
        return self.usual is None and not self.by_point

    def asked(self, point: str) -> CodecName | None:
        """Returns the codec that was asked for at a point; None where none was."""
        return self.by_point.get(point, self.usual)

    def check_points(self, points: Collection[str]) -> None:
        """Raises `UnknownName` for a codec of a point that is not among these."""
        for name in self.by_point:
            if name not in points:
                raise UnknownName("point in --codec", name, points)


def _known(name: str) -> CodecName:
    for codec in CODECS:
        if name == codec:
            return codec
    raise UnknownName("codec", name, CODECS)
