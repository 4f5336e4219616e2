"""Curves of a measure over points, and where they fall below a threshold by the intervals of their values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.study import Curve

Read = Callable[[Evidence, str, str], Reading]
"""Function that returns the reading of a measure or score at a point."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveFound:
    """A curve with its readings."""

    curve: Curve
    readings: Mapping[str, Reading]
    """By point, in the order of computation; those without a value too."""

    @property
    def falls_at(self) -> str:
        """First point whose value is below; empty where none is."""
        return self._first(lambda own: own.interval is not None and self.curve.falls.holds(own.interval.value))

    @property
    def earliest(self) -> str:
        """First point whose interval is not all above, so that it may have fallen there; empty where none is."""
        return self._first(lambda own: own.interval is not None and self.curve.falls.decide(own.interval) is not False)

    @property
    def latest(self) -> str:
        """First point whose interval is all below, so that it has fallen there; empty where none is."""
        return self._first(lambda own: own.interval is not None and self.curve.falls.decide(own.interval) is True)

    @property
    def sentence(self) -> str:
        """Where it falls, with how sure that is."""
        known = [own for own in self.readings.values() if own.interval is not None]
        if not known:
            return "Nothing was measured along it."
        if any(own.too_few for own in known):
            return f"Where it is {self.curve.falls} is undecided: groups of test samples are too few."
        if not self.falls_at:
            may = f", though it may be so from {self.earliest} on" if self.earliest else ""
            return f"It is nowhere {self.curve.falls}{may}."
        if self.earliest == self.latest:
            return f"It is {self.curve.falls} from {self.falls_at} on."
        ends = f"{self.earliest} at the earliest and {self.latest or 'no point for certain'} at the latest"
        return f"It is {self.curve.falls} from {self.falls_at} on, by its intervals {ends}."

    def _first(self, holds: Callable[[Reading], bool]) -> str:
        return next((point for point, own in self.readings.items() if holds(own)), "")


def curve_found(evidence: Evidence, curve: Curve, read: Read) -> CurveFound:
    """Returns a curve with what is known at its points."""
    points = evidence.points(curve.points, curve.measure)
    return CurveFound(curve=curve, readings={point: read(evidence, curve.measure, point) for point in points})
