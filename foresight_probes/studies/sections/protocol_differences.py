"""What each difference between the protocol of HALP and an honest one is worth, on the same vectors."""

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.protocol_steps import Step, protocol_steps
from foresight_probes.hallucination.questions import Questions
from foresight_probes.predictions.kept_run import file_of
from foresight_probes.results.result import Result
from foresight_probes.studies import sections
from foresight_probes.studies.answered_questions import judged_rows, questions_of, vectors_of
from foresight_probes.studies.detectors import asked_points, measures_of, results_of, shown_point
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.kept_rows import Rows, kept_rows, key_of
from foresight_probes.studies.parts import Part, Table, Value
from foresight_probes.studies.study import SectionRequest

_VERSION = 1
"""Raised where the same vectors make other rows."""
_COLUMNS = ("protocol", "changed", "AUROC", "AUROC in training", "difference", "deviation over seeds")
_NOTE = (
    "The published protocol: single questions are divided (80 % and 20 %, stratified by the label), vectors are taken "
    "as they are, and the network of HALP is trained for 50 epochs, of which the last is taken; one seed. Intervals of "
    "95 % are of whole images in every row. A difference has an interval where both rows test the same questions."
)


class Section(sections.Section):
    """For each of `measures`, the vectors of its dataset at `points`, or at the recommended one where none is named."""

    needs = ("measures",)
    takes = ("points",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table for each vector. Raises `ProbeError` where there is none."""
        parts: list[Part] = []
        missing: list[str] = []
        for name, measure in measures_of(evidence, request):
            cache = evidence.cache_of(name)
            if cache is None:
                continue
            judged = judged_rows(cache)
            questions = questions_of(cache, judged)
            for point, result in results_of(evidence, name, asked_points(evidence, request, name), missing):
                rows = _rows(result, vectors_of(cache, point, judged), questions)
                note = "" if parts else _NOTE
                parts.append(
                    Table(title=f"{measure.title}, {shown_point(point)}", columns=_COLUMNS, rows=rows, note=note)
                )
        if not parts:
            raise ProbeError(
                "; ".join(missing) or f"no cache has a point of {', '.join(request.points) or 'the recommendation'}"
            )
        return parts


def _rows(result: Result, vectors_ND: np.ndarray, questions: Questions) -> Rows:
    """Returns the rows of one vector, from the file beside its run where they were made before."""
    path = file_of(result).with_suffix(".protocol.jsonl")
    key = key_of(vectors_ND, questions, str(_VERSION))
    return kept_rows(path, key, lambda: tuple(map(_row, protocol_steps(vectors_ND, questions))))


def _row(step: Step) -> tuple[Value, ...]:
    changed = ("this and all above" if step.cumulative else "this alone") if step.before else "nothing"
    auroc: Value = step.auroc if step.auroc is not None else "not measured: one label alone in a division"
    difference: Value = step.difference_interval if step.difference_interval is not None else step.difference
    return step.name, changed, auroc, step.training_auroc, difference, step.spread
