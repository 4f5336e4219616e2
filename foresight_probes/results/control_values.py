"""The number of a control, and how far the number that it stands beside lies above it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from foresight_probes.statistics.interval import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlValue:
    """The primary metric of a control on the same test split."""

    above: bool
    """True where a number that does not lie above it says nothing of the features."""
    interval: Interval
    """Its value with the confidence interval; of several copies their mean, and the range of the middle of them."""
    difference: Interval | None = None
    """The number less the control's, with its interval, both on the same resamples; None for a control of copies."""
    p_value: float | None = None
    """Share of the control's copies that are as high as the number, the number counted among them; None for others."""

    @property
    def fails(self) -> bool:
        """True where the number should lie above it, and the interval of the difference does not."""
        return self.above and self.difference is not None and not self.difference.low > 0

    def to_json(self) -> dict[str, Any]:
        difference = None if self.difference is None else dataclasses.asdict(self.difference)
        return {
            "above": self.above,
            **dataclasses.asdict(self.interval),
            "difference": difference,
            "p_value": self.p_value,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Raises `KeyError`, `TypeError` or `ValueError` for a record that is damaged."""
        difference, p_value = record["difference"], record["p_value"]
        return cls(
            above=bool(record["above"]),
            interval=_interval(record),
            difference=None if difference is None else _interval(difference),
            p_value=None if p_value is None else float(p_value),
        )


def _interval(record: Mapping[str, Any]) -> Interval:
    return Interval(*(float(record[end]) for end in ("value", "low", "high")))
