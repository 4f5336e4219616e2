"""A table of what each measure is at some points, and how far it differs from another point on the same samples."""

from foresight_cache.errors import ProbeError
from foresight_probes.results.pairs import compare_runs
from foresight_probes.studies import sections
from foresight_probes.studies.derived_metrics import statistic_of
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table, of_runs
from foresight_probes.studies.study import SectionRequest


class Section(sections.Section):
    """`against` is the one point that all `points` are compared with, for each of `measures`.

    Differences are paired, on the same samples and resamples; the share is that of the other point's value.
    """

    needs = ("measures", "points", "against")

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns one table. Raises `ProbeError` where the point to compare with is not there."""
        rows: list[tuple[Cell, ...]] = []
        for name in request.measures:
            others = evidence.points(request.against, name)
            if len(others) != 1:
                continue
            rows += [_row(evidence, name, point, others[0]) for point in evidence.points(request.points, name)]
        if not rows:
            raise ProbeError(f"no cache has the point {', '.join(request.against)} with what is compared with it")
        columns = ("measure", "point", "value", f"at {request.against[0]}", "difference", "share")
        note = "Differences are paired: on the same test samples and resamples, with 95 % intervals."
        return [Table(columns=columns, rows=tuple(rows), note=note)]


def _row(evidence: Evidence, name: str, point: str, other: str) -> tuple[Cell, ...]:
    measure = evidence.study.measures.get(name)
    if measure is None:
        return evidence.study.scores[name].title, point, "a score has no paired differences", None, None, None
    first, second = evidence.reading(name, point), evidence.reading(name, other)
    missing = first.reason or first.unfit or second.reason or second.unfit
    if first.interval is None or second.interval is None:
        return measure.title, point, f"not measured: {missing}", None, None, None
    own, base = of_runs(first.interval, *first.results), of_runs(second.interval, *second.results)
    both = (*first.results, *second.results)
    try:
        statistic = statistic_of(first.results, measure.metric)
        found = compare_runs(first.results, second.results, metric=measure.metric, statistic=statistic)
    except ProbeError as error:
        return measure.title, point, own, base, f"not paired: {error}", None
    if found is None:
        return measure.title, point, own, base, "not defined at both", None
    share = f"{found.difference.value / second.interval.value:+.0%}" if second.interval.value else None
    return measure.title, point, own, base, of_runs(found.difference, *both), share
