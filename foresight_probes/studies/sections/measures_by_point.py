"""A table of several measures beside each other, points as rows."""

from foresight_cache.errors import ProbeError
from foresight_probes.studies import sections
from foresight_probes.studies.criteria import read
from foresight_probes.studies.evidence import Evidence, bytes_of
from foresight_probes.studies.parts import Cell, Part, Table, of_runs
from foresight_probes.studies.study import SectionRequest


class Section(sections.Section):
    """`measures` are columns, measures or scores of the study, and `points` rows, in the order of computation."""

    needs = ("measures", "points")

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns one table. Raises `ProbeError` where no cache has one of the points."""
        points = tuple(
            dict.fromkeys(point for name in request.measures for point in evidence.points(request.points, name))
        )
        if not points:
            raise ProbeError(f"no cache has a point of {', '.join(request.points)}")
        study = evidence.study
        titles = [(study.measures.get(name) or study.scores[name]).title for name in request.measures]
        rows = tuple((point, *(_cell(evidence, name, point) for name in request.measures)) for point in points)
        cautions = dict.fromkeys(
            part
            for name in request.measures
            for point in points
            if not (name in study.measures and study.measures[name].is_bytes)
            for part in read(evidence, name, point).caution.split("; ")
            if part
        )
        note = "".join(f"{text[0].upper()}{text[1:]}. " for text in cautions).strip()
        return [Table(columns=("point", *titles), rows=rows, note=note)]


def _cell(evidence: Evidence, name: str, point: str) -> Cell:
    """Returns the value, or why there is none."""
    own, cache = evidence.study.measures.get(name), evidence.cache_of(name)
    if own is not None and own.is_bytes and cache is not None:
        return bytes_of(cache, [point])
    reading = read(evidence, name, point)
    if reading.interval is None:
        return f"not measured: {reading.unfit or reading.reason}"
    return of_runs(reading.interval, *reading.results)
