"""How well hallucinated answers are detected: from each vector, from the answer itself, and from what is no image."""

from collections.abc import Mapping, Sequence

from foresight_cache.points import Point
from foresight_probes.hallucination.detection_metrics import DetectionMetrics, detection_metrics
from foresight_probes.hallucination.within_groups import paired_differences
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.criteria import format_value
from foresight_probes.studies.detectors import (
    CATEGORY,
    CONTROLS,
    Compared,
    Detector,
    compared,
    controls_of,
    measures_of,
)
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.named_points import single_points
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table, of_runs
from foresight_probes.studies.study import SectionRequest

_NOTE = (
    "A detector that knows nothing has an AUROC of 0.5 and an AUPRC of the base rate. Intervals of 95 % are of whole "
    "images; differences are paired, on the same resamples."
)


class Section(sections.Section):
    """Each of `measures` at its points beside the category's rate, numbers of the answer, and controls of each run.

    Measures of runs on variants of the dataset, such as with a blank image, are controls of the first. `points` are
    those to show; all that were measured where none is named.
    """

    needs = ("measures",)
    takes = ("points",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table of all detectors, one of the controls of their runs, and AUROC over layers."""
        found = compared(evidence, request)
        measured = [_metrics(found, own) for own in found.every]
        differences = _differences(found)
        columns = ("detector", "AUROC", f"less {CATEGORY}", "AUPRC", "calibration error")
        table = Table(
            columns=columns,
            rows=tuple(_row(*row) for row in zip(found.every, measured, differences, strict=True)),
            note=" ".join((_sides(measured[0]), _NOTE, *(f"Not measured: {said}." for said in found.missing))),
        )
        aurocs = {own: metrics.auroc for own, metrics in zip(found.every, measured, strict=True)}
        return [table, *_controls(found, aurocs), *_over_layers(evidence, request, found, aurocs)]


def _sides(metrics: DetectionMetrics) -> str:
    """Returns in a sentence what is tested."""
    rate = format_value(metrics.base_rate)
    return (
        f"Tested are {metrics.samples:,} questions about {metrics.groups:,} images, of whose answers a share of {rate} "
        "is hallucinated: the base rate."
    )


def _metrics(found: Compared, own: Detector) -> DetectionMetrics:
    questions = found.tested.questions
    labels_S = questions.labels_N if own.exchanged is None else own.exchanged
    return detection_metrics(labels_S, own.scores, questions.images, are_probabilities=own.are_probabilities)


def _differences(found: Compared) -> list[Interval | None]:
    """Returns how much greater AUROC is than by the category's rate, which is the first detector."""
    questions = found.tested.questions
    scores = {str(number): own.scores for number, own in enumerate(found.every)}
    others = paired_differences(questions.labels_N, scores, "0", questions.categories, questions.images)
    return [None, *(own.pooled for own in others)]


def _row(own: Detector, metrics: DetectionMetrics, difference: Interval | None) -> tuple[Cell, ...]:
    values = (metrics.auroc, difference, metrics.auprc, metrics.calibration_error)
    results = (own.result,) if own.result else ()
    return (own.label, *(of_runs(value, *results) for value in values))


def _controls(found: Compared, aurocs: Mapping[Detector, Interval | None]) -> list[Part]:
    """Returns a table of AUROC by the controls that stand beside vectors; none where no run has any."""
    beside = {own: {one.name: one for one in controls_of(own, found.tested.ids)} for own in found.vectors}
    names = [name for name in CONTROLS.values() if any(name in own for own in beside.values())]
    rows = [
        (own.label, of_runs(aurocs[own], own.result), *(_control_cell(found, controls.get(name)) for name in names))
        for own, controls in beside.items()
        if controls and own.result
    ]
    if not rows:
        return []
    note = (
        "AUROC of the same head, found in the same way. Shuffled labels were exchanged on all sides of the split: "
        "chance. Random weights are those of a model of the same architecture that was never trained."
    )
    return [Table(title="Controls of each vector", columns=("detector", "AUROC", *names), rows=tuple(rows), note=note)]


def _control_cell(found: Compared, own: Detector | None) -> Cell:
    if own is None or own.result is None:
        return "not measured"
    return of_runs(_metrics(found, own).auroc, own.result)


def _over_layers(
    evidence: Evidence, request: SectionRequest, found: Compared, aurocs: Mapping[Detector, Interval | None]
) -> list[Part]:
    """Returns AUROC over the language model's layers: by the first measure, and by those of variants beside it."""
    titles = [(evidence.study.runs[own.runs].dataset, own.title) for _, own in measures_of(evidence, request)]
    first, controls = titles[0][1], tuple(title for data, title in titles if data != titles[0][0])
    category = aurocs[found.baselines[0]]
    parts: list[Part] = []
    for title, names in ((f"{first[0].upper()}{first[1:]}", (first,)), ("Controls", controls)):
        if not (lines := _series(found, aurocs, names)):
            continue
        parts.append(
            Lines(
                title=f"{title} over the layers of the language model",
                across="layer",
                up="AUROC",
                series=lines,
                limit=None if category is None else round(category.value, 3),
                note="The dashed line is the AUROC of the category's rate, which needs neither image nor model.",
            )
        )
    return parts


def _series(found: Compared, aurocs: Mapping[Detector, Interval | None], names: Sequence[str]) -> tuple[Series, ...]:
    """Returns a series for each measure of these and readout that has several layers."""
    series: dict[str, list[tuple[str, Interval]]] = {}
    for own in found.vectors:
        interval = aurocs[own]
        is_layer = own.point.startswith("llm.layer_") and len(single_points(own.point)) == 1
        if interval is None or own.name not in names or not is_layer:
            continue
        point = Point.parse(own.point)
        name = f"@{point.readout}" if len(names) == 1 else f"{own.name}, @{point.readout}"
        series.setdefault(name, []).append((point.tap, interval))
    return tuple(
        Series(name=name, places=tuple(tap for tap, _ in values), values=tuple(value for _, value in values))
        for name, values in series.items()
        if len(values) > 1
    )
