"""Detection of hallucinated answers in each source by a regression that has seen all other sources alone."""

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.hallucination.leave_one_out import SourceLeftOut, leave_one_source_out
from foresight_probes.hallucination.questions import Questions
from foresight_probes.studies import sections
from foresight_probes.studies.answered_questions import judged_rows, questions_of, vectors_of
from foresight_probes.studies.detectors import asked_points, measures_of
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
        """Returns one table. Raises `ProbeError` where all questions are from one source."""
        rows: list[tuple[Cell, ...]] = []
        for name, measure in measures_of(evidence, request):
            cache = evidence.cache_of(name)
            if cache is None:
                continue
            judged = judged_rows(cache)
            questions = questions_of(cache, judged)
            for point in asked_points(evidence, request, name):
                rows += _rows(measure.title, point, cache, judged, questions)
        if not rows:
            raise ProbeError(f"no cache has a point of {', '.join(request.points) or 'the recommendation'}")
        columns = (
            *("vectors", "source that is left out", "questions", "hallucinated", "trained on", "AUROC", "AUPRC"),
            *("base rate", "remark"),
        )
        return [Table(columns=columns, rows=tuple(rows), note=_NOTE)]


def _rows(title: str, point: str, cache: Cache, judged: list[int], questions: Questions) -> list[tuple[Cell, ...]]:
    found = leave_one_source_out(vectors_of(cache, point, judged), questions)
    return [_row(f"{title}, {point}", own) for own in found]


def _row(name: str, own: SourceLeftOut) -> tuple[Cell, ...]:
    metrics = own.metrics
    values = (metrics.auroc, metrics.auprc, metrics.base_rate) if metrics else (None, None, None)
    return (name, own.source, own.samples, own.positives, own.trained_on, *values, own.reason or None)
