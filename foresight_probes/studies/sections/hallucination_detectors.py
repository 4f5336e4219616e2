"""How well hallucinated answers are detected: from each vector, from the answer itself, and from what is no image."""

from collections.abc import Mapping, Sequence

from foresight_cache.points import Point
from foresight_probes.hallucination.detection_metrics import DetectionMetrics, detection_metrics
from foresight_probes.hallucination.within_groups import paired_differences
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.detectors import CATEGORY, Compared, Detector, compared, controls_of
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.named_points import single_points
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table, of_runs
from foresight_probes.studies.study import SectionRequest

_NOTE = (
    "A detector that knows nothing has an AUROC of 0.5, an AUPRC of the base rate, and, where it says the base rate of "
    "every answer, a Brier score of base rate × (1 - base rate). Intervals of 95 % are of whole images; differences "
    "are paired, on the same resamples. Shuffled labels were exchanged on all sides of the split."
)


class Section(sections.Section):
    """Each of `measures` at its points beside the category's rate, numbers of the answer, and controls of each run.

    Measures of runs on variants of the dataset, such as with a blank image, are controls of the first. `points` are
    those to show; all that were measured where none is named.
    """

    needs = ("measures",)
    takes = ("points",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table of all detectors, and their AUROC over layers where there are some."""
        found = compared(evidence, request)
        rows = list(found.baselines)
        for own in found.vectors:
            rows += [own, *controls_of(own, found.tested.ids)]
        measured = [_metrics(found, own) for own in rows]
        differences = _differences(found, rows)
        columns = ("detector", "reads", "AUROC", "AUPRC", "base rate", "Brier", "calibration error", f"less {CATEGORY}")
        table = Table(
            columns=columns,
            rows=tuple(_row(*row) for row in zip(rows, measured, differences, strict=True)),
            note=" ".join((_NOTE, *(f"Not measured: {said}." for said in found.missing))),
        )
        aurocs = {own: metrics.auroc for own, metrics in zip(rows, measured, strict=True)}
        return [table, *_over_layers(found, aurocs)]


def _metrics(found: Compared, own: Detector) -> DetectionMetrics:
    questions = found.tested.questions
    labels_S = questions.labels_N if own.exchanged is None else own.exchanged
    return detection_metrics(labels_S, own.scores, questions.images, are_probabilities=own.are_probabilities)


def _differences(found: Compared, rows: Sequence[Detector]) -> list[Interval | None]:
    """Returns how much greater AUROC is than by the category's rate, the first row; None of exchanged labels."""
    questions = found.tested.questions
    scores = {str(number): own.scores for number, own in enumerate(rows) if own.exchanged is None}
    others = paired_differences(questions.labels_N, scores, "0", questions.categories, questions.images)
    by_row = {own.detector: own.pooled for own in others}
    return [by_row.get(str(number)) for number in range(len(rows))]


def _row(own: Detector, metrics: DetectionMetrics, difference: Interval | None) -> tuple[Cell, ...]:
    values = (metrics.auroc, metrics.auprc, metrics.base_rate, metrics.brier, metrics.calibration_error, difference)
    results = (own.result,) if own.result else ()
    return (own.name, own.point or None, *(of_runs(value, *results) for value in values))


def _over_layers(found: Compared, aurocs: Mapping[Detector, Interval | None]) -> list[Part]:
    """Returns AUROC over the language model's layers, a series for each measure and readout with several layers."""
    series: dict[str, list[tuple[str, Interval]]] = {}
    for own in found.vectors:
        interval, parts = aurocs[own], single_points(own.point)
        if interval is None or len(parts) > 1 or not own.point.startswith("llm.layer_"):
            continue
        point = Point.parse(own.point)
        series.setdefault(f"{own.name}, {point.readout}", []).append((point.tap, interval))
    lines = tuple(
        Series(name=name, places=tuple(tap for tap, _ in values), values=tuple(value for _, value in values))
        for name, values in series.items()
        if len(values) > 1
    )
    if not lines:
        return []
    category = aurocs[found.baselines[0]]
    return [
        Lines(
            title="Detection over the layers of the language model",
            across="layer",
            up="AUROC",
            series=lines,
            limit=None if category is None else round(category.value, 3),
            note="The dashed line is the AUROC of the category's rate, which needs neither image nor model.",
        )
    ]
