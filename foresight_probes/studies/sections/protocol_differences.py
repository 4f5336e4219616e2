"""What each difference between the protocol of HALP and an honest one is worth, on the same vectors."""

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.protocol_steps import Step, protocol_steps
from foresight_probes.studies import sections
from foresight_probes.studies.answered_questions import judged_rows, questions_of, vectors_of
from foresight_probes.studies.detectors import asked_points, measures_of
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table
from foresight_probes.studies.study import SectionRequest

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
        for name, measure in measures_of(evidence, request):
            cache = evidence.cache_of(name)
            if cache is None:
                continue
            judged = judged_rows(cache)
            questions = questions_of(cache, judged)
            for point in asked_points(evidence, request, name):
                steps = protocol_steps(vectors_of(cache, point, judged), questions)
                parts.append(_table(f"{measure.title}, {point}", steps, _NOTE if not parts else ""))
        if not parts:
            raise ProbeError(f"no cache has a point of {', '.join(request.points) or 'the recommendation'}")
        return parts


def _table(title: str, steps: list[Step], note: str) -> Table:
    columns = ("protocol", "changed", "AUROC", "AUROC in training", "difference", "deviation over seeds")
    return Table(title=title, columns=columns, rows=tuple(map(_row, steps)), note=note)


def _row(step: Step) -> tuple[Cell, ...]:
    changed = ("this and all above" if step.cumulative else "this alone") if step.before else "nothing"
    auroc: Cell = step.auroc if step.auroc is not None else "not measured: one label alone in a division"
    difference: Cell = step.difference_interval if step.difference_interval is not None else step.difference
    return step.name, changed, auroc, step.training_auroc, difference, step.spread
