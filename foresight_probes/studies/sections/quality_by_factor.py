"""Measures over a factor: input size, merging of tokens, model, training samples, parameters of the head, or layer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes import heads as head_registry
from foresight_probes.results.metric_names import lower_is_better
from foresight_probes.results.pairs import compare_runs
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.joining import merged_of, size_of
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table, of_runs
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.study import Measure, SectionRequest, StudyDataset
from foresight_probes.studies.variants import on_variant, portion_name, variant_name

ACROSS = {
    "size": "input size (px, root of height × width)",
    "merging": "neighbouring tokens that became one",
    "model": "model",
    "samples": "training samples",
    "parameters": "trained numbers of the head",
    "layer": "point",
}
"""What stands on the axis."""
_NOTES = {
    "size": "Metrics of pictures are computed at each input's own size, so that a larger input has more to draw.",
    "merging": "Tokens are the means of neighbours, made from the cache without training: what such a merger loses. "
    "Where there are fewer tokens, each draws a larger piece of the picture.",
    "model": "All models saw the same samples.",
    "samples": "Each portion is part of the next larger one, and all are tested on the same samples. Those that select "
    "are fewer by as much as those that train.",
    "parameters": "Heads of one recipe that differ in their size alone.",
    "layer": "Points in the order of computation.",
}
_PAIRED = "Differences from the first are paired, on the same test samples and resamples, with 95 % intervals."
_MOST_STEPS = 8
"""Steps of a factor up to which each is compared with all later ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A value of the factor with what is read there."""

    name: str
    place: float | str | None
    """Where it is drawn; None where it is not known without a cache or a run."""
    reading: Reading


class Section(sections.Section):
    """A figure and a table for each of `measures`, with a series for each of `points`; of layers these are the axis.

    Sizes, mergings and models are those of the variants that the measure's runs name, training samples those of their
    `halvings`. Parameters are those of `heads`,
    or of all heads of the runs.
    """

    needs = ("measures", "factor", "points")
    takes = ("heads",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns figures and tables. Raises `ProbeError` where no step of any measure has a value."""
        parts: list[Part] = []
        for name in request.measures:
            own = evidence.study.measures.get(name)
            if own is None or own.is_bytes:
                raise ProbeError(f"{name} is no metric of runs, which alone are drawn over a factor")
            series = _series(evidence, name, own, request)
            if any(step.reading.interval for steps in series.values() for step in steps):
                parts += _shown(own, series, request)
        if not parts:
            raise ProbeError(f"{', '.join(request.measures)} has no value at {', '.join(request.points)}")
        return parts


def _series(evidence: Evidence, name: str, own: Measure, request: SectionRequest) -> dict[str, list[Step]]:
    """Returns the steps by point; of layers all under the title of the measure."""
    points = evidence.points(request.points, name)
    if request.factor == "layer":
        return {own.title: [Step(name=at, place=at, reading=evidence.reading(name, at)) for at in points]}
    if request.factor == "parameters":
        return {point: _of_heads(evidence, own, point, request.heads) for point in points}
    if request.factor == "samples":
        return {point: _of_portions(evidence, name, own, point) for point in points}
    return {point: _of_variants(evidence, name, own, point, request.factor) for point in points}


def _of_heads(evidence: Evidence, own: Measure, point: str, wanted: Sequence[str] | None) -> list[Step]:
    chosen = wanted or own.heads or evidence.study.runs[own.runs].heads
    names = (
        head_registry.resolve(tuple(chosen))
        if chosen
        else dict.fromkeys(result.head for result in evidence.candidates(own, point))
    )
    steps = []
    for head in names:
        alone = replace(own, heads=(head,))
        found = evidence.candidates(alone, point)
        place = float(found[0].parameters) or None if found else None  # 0 of a constant answer is on no such axis
        name = f"{place:,.0f}" if place else head
        steps.append(Step(name=name, place=place, reading=evidence.reading_of(alone, point)))
    return sorted(steps, key=lambda step: float(step.place or 0))


def _of_portions(evidence: Evidence, name: str, own: Measure, point: str) -> list[Step]:
    """Returns the portions of the training samples from the smallest to all."""
    steps = []
    for halved in range(evidence.study.runs[own.runs].halvings, -1, -1):
        portion = portion_name(halved) if halved else ""
        reading = evidence.reading(on_variant(name, portion), point)
        count = int(reading.results[0].split["train"]) if reading.results else None
        shown = f"{count:,}" if count else portion or "all"
        steps.append(Step(name=shown, place=float(count) if count else None, reading=reading))
    return steps


def _of_variants(evidence: Evidence, name: str, own: Measure, point: str, factor: str) -> list[Step]:
    """Returns the dataset itself and its variants that differ in the factor alone, in the factor's order."""
    group = evidence.study.runs[own.runs]
    base = evidence.study.datasets[group.dataset]
    steps = [_step(evidence, name, group.dataset, point, factor)]
    for variant in group.variants:
        dataset = variant_name(group.dataset, variant)
        if _differs_in(evidence.study.datasets[dataset], base) == (factor,):
            steps.append(_step(evidence, on_variant(name, variant), dataset, point, factor))
    return sorted(steps, key=_order) if factor != "model" else steps


def _order(step: Step) -> float:
    """Sorts sizes by their numbers, and mergings by the first number of their names."""
    digits = "".join(filter(str.isdigit, step.name.partition("×")[0].partition("x")[0]))
    return float(step.place) if isinstance(step.place, float) else float(digits or 0)


def _differs_in(variant: StudyDataset, base: StudyDataset) -> tuple[str, ...]:
    differs = {
        "size": variant.size != base.size,
        "merging": variant.merged != base.merged,
        "model": variant.model != base.model,
    }
    return tuple(factor for factor, is_other in differs.items() if is_other)


def _step(evidence: Evidence, measure: str, dataset: str, point: str, factor: str) -> Step:
    cache, data = evidence.caches.get(dataset), evidence.study.datasets[dataset]
    if cache is None:
        names = {"size": data.size, "merging": _merging(data.merged), "model": data.model or evidence.study.model}
        return Step(name=names[factor], place=None, reading=Reading(reason=f"no cache of {dataset} was given"))
    name, place = _place(cache, factor)
    return Step(name=name, place=place, reading=evidence.reading(measure, point))


def _place(cache: Cache, factor: str) -> tuple[str, float | str | None]:
    """Returns the name of a cache's value of a factor, and where it is drawn."""
    if factor == "size":
        height, _, width = size_of(cache).partition("x")
        is_fixed = height.isdigit() and width.isdigit()
        return size_of(cache), sqrt(int(height) * int(width)) if is_fixed else None
    if factor == "merging":
        return _merging(merged_of(cache)), _merging(merged_of(cache))
    model = str(cache.fingerprint.get("model", {}).get("name", "a model without a name"))
    return model, model


def _merging(cells: int) -> str:
    return f"{cells}×{cells}" if cells > 1 else "none"


def _shown(own: Measure, series: dict[str, list[Step]], request: SectionRequest) -> list[Part]:
    """Returns the figure of a measure, where anything can be drawn, and its table."""
    known = {
        name: [step for step in steps if step.reading.interval and step.place is not None]
        for name, steps in series.items()
    }
    only = f" at {next(iter(known))}" if len(known) == 1 and request.factor != "layer" else ""
    lines = Lines(
        title=own.title + only,
        across=ACROSS[request.factor],
        up=own.title,
        is_log=request.factor in ("parameters", "samples"),
        series=tuple(
            Series(
                name=name,
                places=tuple(step.place for step in steps),  # type: ignore[arg-type]
                values=tuple(step.reading.interval for step in steps if step.reading.interval),
            )
            for name, steps in known.items()
            if steps
        ),
    )
    rows = [row for name, steps in series.items() for row in _rows(own, name, steps)]
    columns: tuple[str, ...] = ("point", request.factor, "head", own.title, "difference from the first", "remark")
    if request.factor == "layer":  # the point is the factor
        columns, rows = columns[1:], [row[1:] for row in rows]
    saturated = " ".join(filter(None, (_saturation(own, name, steps) for name, steps in series.items())))
    note = " ".join(filter(None, (_NOTES[request.factor], _PAIRED, saturated)))
    return [*([lines] if lines.series else []), Table(columns=columns, rows=tuple(rows), note=note)]


def _rows(own: Measure, name: str, steps: Sequence[Step]) -> list[tuple[Cell, ...]]:
    measured = [step for step in steps if step.reading.interval]
    rows: list[tuple[Cell, ...]] = []
    for step in steps:
        reading = step.reading
        if reading.interval is None:
            rows.append((name, step.name, None, f"not measured: {reading.reason or reading.unfit}", None, None))
            continue
        both = (*reading.results, *measured[0].reading.results)
        difference = None if step is measured[0] else of_runs(_difference(own, step, measured[0]), *both)
        value = of_runs(reading.interval, *reading.results)
        remark = "; ".join(filter(None, (reading.doubt, "too few groups" if reading.too_few else "")))
        rows.append((name, step.name, reading.results[0].head, value, difference, remark or None))
    return rows


def _difference(own: Measure, step: Step, other: Step) -> Interval | str:
    """Returns how much more a metric is at one step than at another, or why that is not known."""
    try:
        found = compare_runs(step.reading.results, other.reading.results, metric=own.metric, by_id=True)
    except ProbeError as error:
        return f"not paired: {error}"
    return found.difference if found else "not defined at both"


def _saturation(own: Measure, name: str, steps: Sequence[Step]) -> str:
    """Returns from which step on no later one is better for certain; empty where that is not known."""
    measured = [step for step in steps if step.reading.interval]
    if not 2 <= len(measured) <= _MOST_STEPS or any(step.reading.too_few for step in measured):
        return ""
    sign = -1 if lower_is_better(own.metric) else 1
    for number, step in enumerate(measured[:-1]):
        later = [_difference(own, other, step) for other in measured[number + 1 :]]
        found = [difference for difference in later if isinstance(difference, Interval)]
        if len(found) < len(later):
            return ""
        if not any(min(sign * difference.low, sign * difference.high) > 0 for difference in found):
            return f"{name}: from {step.name} on no later one is better by its interval."
    return f"{name}: it still gains at the last one, {measured[-1].name}."
