"""Detection among questions of one category, type or source alone, where these tell nothing of the label."""

from collections.abc import Sequence

from foresight_probes.hallucination.reading import read_detector
from foresight_probes.hallucination.within_groups import FEWEST_OF_EACH, WithinGroups, paired_differences, within_groups
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.detectors import BASELINE_NAMES, Compared, Detector, best_point, compared
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table, of_runs
from foresight_probes.studies.study import SectionRequest

_FIRST = BASELINE_NAMES["first_token_regression"]
_NOTE = (
    f"Means over the categories (source and type together), types and sources that have {FEWEST_OF_EACH} answers of "
    "each kind at least, each with the same weight. What a detector knows of the category alone gives 0.5 within "
    "categories. Intervals of 95 % are of whole images; differences, of the "
    "mean within categories, are paired."
)


class Section(sections.Section):
    """The detectors of `hallucination-detectors` within each category, type and source, and a reading in words."""

    needs = ("measures",)
    takes = ("points",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table of means for all detectors, and one of all kinds for the recommended vector."""
        found = compared(evidence, request)
        rows = _rows(found)
        missing = (f"Not measured: {said}." for said in found.missing)
        parts: list[Part] = [
            Table(
                columns=(
                    *("detector", "within categories", "within types", "within sources"),
                    "less the answer's numbers",
                ),
                rows=rows,
                note=" ".join((_NOTE, *missing)),
            )
        ]
        point = best_point(evidence)
        best = next((own for own in found.vectors if own.point == point), found.vectors[0])
        return [*parts, _of_kinds(found, best)]


def _kinds(found: Compared) -> tuple[tuple[str, Sequence[str]], ...]:
    questions = found.tested.questions
    return ("category", questions.categories), ("type", found.tested.types), ("source", questions.sources)


def _rows(found: Compared) -> tuple[tuple[Cell, ...], ...]:
    questions, detectors = found.tested.questions, found.every
    scores = {str(number): own.scores for number, own in enumerate(detectors)}
    first = next((str(number) for number, own in enumerate(detectors) if own.name == _FIRST), None)
    less: dict[str, Interval | None] = {}
    if first is not None:
        others = paired_differences(questions.labels_N, scores, first, questions.categories, questions.images)
        less = {own.detector: own.macro for own in others}
    rows = []
    for number, own in enumerate(detectors):
        values = [
            within_groups(questions.labels_N, own.scores, kinds, questions.images).macro for _, kinds in _kinds(found)
        ]
        results = (own.result,) if own.result else ()
        cells = (of_runs(value, *results) for value in (*values, less.get(str(number))))
        rows.append((own.label, *cells))
    return tuple(rows)


def _of_kinds(found: Compared, best: Detector) -> Table:
    """Returns the AUROC of one vector, of the category's rate and of the answer's numbers in each kind of question."""
    questions = found.tested.questions
    first = next((own for own in found.baselines if own.name == _FIRST), None)
    rows: list[tuple[Cell, ...]] = []
    for by, kinds in _kinds(found):
        own = within_groups(questions.labels_N, best.scores, kinds, questions.images)
        beside = within_groups(questions.labels_N, first.scores, kinds, questions.images) if first else None
        rows += _kind_rows(by, own, beside)
    reading = read_detector(
        questions.labels_N, best.scores, found.tested.category_rates, questions.categories, questions.images
    )
    sentence = f"{reading.sentence[0].upper()}{reading.sentence[1:]}"
    confidence = f"The intervals of this reading are of {100 * reading.confidence:g} %."
    return Table(
        title=f"{best.label}, kind by kind",
        columns=("by", "kind", "questions", "hallucinated", "AUROC", "by the answer's numbers", "remark"),
        rows=tuple(rows),
        note=f"{sentence}. {confidence}",
    )


def _kind_rows(by: str, own: WithinGroups, beside: WithinGroups | None) -> list[tuple[Cell, ...]]:
    others = {kind.name: kind.auroc for kind in beside.kinds} if beside else {}
    return [
        (
            *(by, kind.name, kind.samples, kind.positives),
            *(kind.auroc, others.get(kind.name), kind.reason or None),
        )
        for kind in own.kinds
    ]
