"""Detection of hallucinated answers in each source by a regression that has seen all other sources alone."""

from collections.abc import Sequence

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.leave_one_out import SourceLeftOut, leave_one_source_out
from foresight_probes.studies import sections
from foresight_probes.studies.answered_questions import judged_rows, questions_of, vectors_of
from foresight_probes.studies.detectors import asked_points, measures_of, shown_point
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table
from foresight_probes.studies.study import SectionRequest

_NOTE = (
    "A logistic regression on standardised vectors is fitted on all judged questions of the other sources, its penalty "
    "chosen within these, and tested on all of this one. Questions about an image that this source has too are left "
    "out of the fit. Intervals of 95 % are of whole images."
)


class Section(sections.Section):
    """For each of `measures`, the vectors of its dataset at `points`, or at the recommended one where none is named."""

    needs = ("measures",)
    takes = ("points",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table for each vector. Raises `ProbeError` where all questions are from one source."""
        parts: list[Part] = []
        for name, measure in measures_of(evidence, request):
            cache = evidence.cache_of(name)
            if cache is None:
                continue
            judged = judged_rows(cache)
            questions = questions_of(cache, judged)
            for point in asked_points(evidence, request, name):
                found = leave_one_source_out(vectors_of(cache, point, judged), questions)
                parts.append(_table(f"{measure.title}, {shown_point(point)}", found, "" if parts else _NOTE))
        if not parts:
            raise ProbeError(f"no cache has a point of {', '.join(request.points) or 'the recommendation'}")
        return parts


def _table(title: str, found: Sequence[SourceLeftOut], note: str) -> Table:
    columns = ("left out", "questions", "hallucinated", "trained on", "AUROC", "AUPRC", "base rate", "remark")
    return Table(title=title, columns=columns, rows=tuple(map(_row, found)), note=note)


def _row(own: SourceLeftOut) -> tuple[Cell, ...]:
    metrics = own.metrics
    values = (metrics.auroc, metrics.auprc, metrics.base_rate) if metrics else (None, None, None)
    return (own.source, own.samples, own.positives, own.trained_on, *values, own.reason or None)
