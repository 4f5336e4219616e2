"""AUROC among questions of one kind alone, where the kind tells nothing, and its mean over kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foresight_probes.hallucination.detection_metrics import auroc_of
from foresight_probes.hallucination.questions import checked_labels
from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import Statistic, point_estimate, ratio
from foresight_probes.statistics.bootstrap import resampled
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.scales import ends

FEWEST_OF_EACH = 5
"""Samples of each label below which the AUROC of a kind is not part of the macro average: it would be noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """The questions of one kind, such as an answer type or a source."""

    name: str
    samples: int
    positives: int
    auroc: Interval | None
    """None where one label alone occurs."""
    counted: bool
    """True where it is part of the macro average."""
    reason: str = ""
    """Why it is not measured, or not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WithinGroups:
    """AUROC within each kind, in alphabetical order, and their mean."""

    kinds: tuple[Kind, ...]
    macro: Interval | None
    """Mean over the kinds that are counted, each with the same weight; None where none is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorDifference:
    """How much greater AUROC is by one detector than by another, on the same resamples."""

    detector: str
    reference: str
    pooled: Interval | None
    """Of all questions; None where one label alone occurs."""
    macro: Interval | None
    """Of the mean over kinds; None where no kind is counted."""


def within_groups(
    labels_S: np.ndarray,
    scores_S: np.ndarray,
    kinds: Sequence[str],
    groups: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    fewest: int = FEWEST_OF_EACH,
) -> WithinGroups:
    """Measures AUROC within each kind, and its mean over kinds, all on the same resamples of whole groups.

    Args:
        labels_S: 1 for a hallucinated answer, 0 for another.
        scores_S: Score of each, the higher the likelier a hallucination.
        kinds: Kind of each question.
        groups: Group of each, such as its image.
        resamples: Resamples of groups.
        confidence: Confidence of the intervals.
        seed: Decides the draws.
        fewest: Samples of each label that a kind needs to be counted in the mean.

    >>> labels, scores = np.array([0, 1, 0, 1, 0, 0]), np.array([0.1, 0.2, 0.9, 0.8, 0.5, 0.5])
    >>> found = within_groups(labels, scores, list("aabbcc"), list("uvwxyz"), fewest=1)
    >>> [(kind.name, kind.auroc and kind.auroc.value) for kind in found.kinds], found.macro.value
    ([('a', 1.0), ('b', 0.0), ('c', None)], 0.5)
    """
    labels = checked_labels(labels_S)
    names = sorted(set(kinds))
    counted = counted_kinds(labels, kinds, fewest=fewest)
    rows = _rows(labels, {"": scores_S}, kinds, names)
    statistic = _kinds_statistic(names, list(counted))
    values = point_estimate(statistic, rows)
    drawn = resampled(rows, groups, statistic, resamples=resamples, seed=seed)

    def interval(name: str, own: Sequence[str]) -> Interval | None:
        if name not in values:
            return None
        low, high = ends("auroc", values[name], drawn[name], groups=effective_groups(own), confidence=confidence)
        return Interval(values[name], low, high)

    members = {name: [row for row, kind in enumerate(kinds) if kind == name] for name in names}
    measured = [
        _kind(
            name,
            labels[rows_of],
            interval(f"kind:{name}", [groups[row] for row in rows_of]),
            counted=name in counted,
            fewest=fewest,
        )
        for name, rows_of in members.items()
    ]
    of_counted = [groups[row] for name in counted for row in members[name]]
    return WithinGroups(kinds=tuple(measured), macro=interval("macro", of_counted))


def _kinds_statistic(names: Sequence[str], counted: Sequence[str]) -> Statistic:
    """Returns the statistic of AUROC in each kind (`kind:`) and of their mean (`macro`)."""

    def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        truth_S, kinds_S, own_S = np.asarray(scores).T
        of_kinds = [(name, kinds_S == number) for number, name in enumerate(names)]
        found = {f"kind:{name}": auroc_of(truth_S[own], own_S[own], counts_RS[:, own]) for name, own in of_kinds}
        of_counted = [found[f"kind:{name}"] for name in counted]
        return {**found, "macro": mean_of_known(np.stack(of_counted))} if of_counted else found

    return statistic


def _kind(name: str, labels_S: np.ndarray, auroc: Interval | None, *, counted: bool, fewest: int) -> Kind:
    positives = int(labels_S.sum())
    return Kind(
        name=name,
        samples=len(labels_S),
        positives=positives,
        auroc=auroc,
        counted=counted,
        reason=_reason(len(labels_S), positives, fewest),
    )


def paired_differences(
    labels_S: np.ndarray,
    detectors: Mapping[str, np.ndarray],
    reference: str,
    kinds: Sequence[str],
    groups: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    fewest: int = FEWEST_OF_EACH,
) -> list[DetectorDifference]:
    """Returns how much greater AUROC is by each detector than by the reference, which is one of them.

    All see the same resamples, so that what makes a sample hard for both does not count. The ends are percentiles, as
    far out as Student's. Scores need not be on one scale. Arguments as of `within_groups`.
    """
    labels = checked_labels(labels_S)
    names = sorted(set(kinds))
    counted = list(counted_kinds(labels, kinds, fewest=fewest))
    rows = _rows(labels, detectors, kinds, names)
    inner = _statistic(list(detectors), names, counted)

    def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        own = inner(scores, counts_RS)
        return {
            f"{part}:{name}": own[f"{part}:{name}"] - own[f"{part}:{reference}"]
            for part in ("pooled", "macro")
            for name in detectors
            if f"{part}:{name}" in own
        }

    values = point_estimate(statistic, rows)
    drawn = resampled(rows, groups, statistic, resamples=resamples, seed=seed)
    effective = effective_groups(groups)

    def interval(name: str) -> Interval | None:
        if name not in values:
            return None
        low, high = ends("difference", values[name], drawn[name], groups=effective, confidence=confidence)
        return Interval(values[name], low, high)

    return [
        DetectorDifference(
            detector=name,
            reference=reference,
            pooled=interval(f"pooled:{name}"),
            macro=interval(f"macro:{name}"),
        )
        for name in detectors
        if name != reference
    ]


def _rows(
    labels_S: np.ndarray, detectors: Mapping[str, np.ndarray], kinds: Sequence[str], names: Sequence[str]
) -> np.ndarray:
    """Returns rows (label, number of the kind, score by each detector)."""
    numbers = {name: number for number, name in enumerate(names)}
    columns = [labels_S, np.array([numbers[kind] for kind in kinds]), *detectors.values()]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _statistic(detectors: Sequence[str], names: Sequence[str], counted: Sequence[str]) -> Statistic:
    """Returns the statistic of AUROC by detector, of all rows (`pooled:`) and as the mean over kinds (`macro:`)."""

    def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        truth_S, kinds_S, *columns = np.asarray(scores).T
        members = [kinds_S == number for number, name in enumerate(names) if name in counted]
        found: dict[str, np.ndarray] = {}
        for detector, scores_S in zip(detectors, columns, strict=True):
            found[f"pooled:{detector}"] = auroc_of(truth_S, scores_S, counts_RS)
            if members:
                found[f"macro:{detector}"] = macro_auroc(truth_S, scores_S, members, counts_RS)
        return found

    return statistic


def macro_auroc(
    truth_S: np.ndarray, scores_S: np.ndarray, members: Sequence[np.ndarray], counts_RS: np.ndarray
) -> np.ndarray:
    """Returns the mean of the AUROC over kinds, [R]; `members` are the kinds' samples, [S] bool each.

    A kind of which a resample has one label alone is left out of the resample's mean.
    """
    values_KR = np.stack([auroc_of(truth_S[own], scores_S[own], counts_RS[:, own]) for own in members])
    return mean_of_known(values_KR)


def mean_of_known(values_KR: np.ndarray) -> np.ndarray:
    """Returns the mean over the first axis of what is not NaN; NaN where all is."""
    known_KR = np.isfinite(values_KR)
    return ratio(np.where(known_KR, values_KR, 0.0).sum(0), known_KR.sum(0))


def counted_kinds(labels_S: np.ndarray, kinds: Sequence[str], *, fewest: int = FEWEST_OF_EACH) -> dict[str, np.ndarray]:
    """Returns the samples, [S] bool, of each kind with so many samples of each label, in alphabetical order.

    >>> counted_kinds(np.array([0, 1, 0]), ["b", "b", "a"], fewest=1)
    {'b': array([ True,  True, False])}
    """
    kinds_S = np.array(kinds)
    members = {name: kinds_S == name for name in sorted(set(kinds))}
    least = max(1, fewest)
    return {
        name: own for name, own in members.items() if min(labels_S[own].sum(), own.sum() - labels_S[own].sum()) >= least
    }


def _reason(samples: int, positives: int, fewest: int) -> str:
    least = min(positives, samples - positives)
    if least == 0:
        return f"not measured: {'none' if positives == 0 else 'all'} of {samples} answers are hallucinated"
    if least < fewest:
        kind = "hallucinated" if positives == least else "other"
        return f"not in the mean: {least} {kind} answers, fewer than {fewest}"
    return ""
