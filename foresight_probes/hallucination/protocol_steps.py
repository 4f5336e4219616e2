"""What each difference between the paper's protocol and an honest one is worth, on the same vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from foresight_probes.hallucination.detection_metrics import auroc_of
from foresight_probes.hallucination.divisions import Unit, divide, divide_groups, divide_questions
from foresight_probes.hallucination.halp_protocol import Detection, Recipe, trained_detection
from foresight_probes.hallucination.logistic_detector import PENALTIES, channel_scales, fit_logistic
from foresight_probes.hallucination.questions import Questions, checked_vectors
from foresight_probes.hallucination.within_groups import FEWEST_OF_EACH, counted_kinds, macro_auroc
from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import Statistic, point_estimate
from foresight_probes.statistics.bootstrap import resampled
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval, over_seeds
from foresight_probes.statistics.scales import ends

SEEDS = (42, 43, 44, 45, 46)
"""Seeds of divisions and of networks where there are several; the first is the paper's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How a detector is made and measured; the defaults are the paper's."""

    unit: Unit = "question"
    """What is divided: single questions, or images with all their questions."""
    epoch: Literal["last", "validation"] = "last"
    """Epoch of the network that is taken; `validation` is that of the highest AUROC on a fifth of the training rows."""
    standardised: bool = False
    """Whether channels are brought to mean 0 and deviation 1 of the training rows."""
    detector: Literal["network", "logistic"] = "network"
    """The paper's network, or logistic regression with a penalty that is chosen on a fifth of the training rows."""
    averaged: Literal["pooled", "within"] = "pooled"
    """AUROC of all questions, or its mean over categories."""
    seeds: tuple[int, ...] = SEEDS[:1]
    """Seeds of the division and of the network."""


CHANGES: Mapping[str, Callable[[Protocol], Protocol]] = {
    "split by image": lambda own: replace(own, unit="image"),
    "epoch chosen on validation": lambda own: replace(own, epoch="validation"),
    "standardised vectors": lambda own: replace(own, standardised=True),
    "logistic regression with chosen penalty": lambda own: replace(own, detector="logistic"),
    "mean AUROC within categories": lambda own: replace(own, averaged="within"),
    "several divisions and seeds": lambda own: replace(own, seeds=SEEDS),
}
"""Single changes towards the honest protocol, in the order in which they are added."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A row of the table: one protocol and its AUROC."""

    name: str
    protocol: Protocol
    cumulative: bool
    """True where all changes above it in the table are made too, False where it is the only one."""
    auroc: Interval | None
    """With several seeds the mean, from the lowest to the highest end; None where a division allows none."""
    training_auroc: float | None
    """Pooled AUROC of the training rows, the mean over seeds."""
    by_seed: tuple[float, ...]
    """AUROC of each seed."""
    before: str
    """Name of the row that it is compared with, empty for the first: the one above, or the paper's for a lone one."""
    difference: float | None
    """How much greater AUROC is than in that row."""
    difference_interval: Interval | None
    """The same with an interval; None where the two do not have the same test questions."""

    @property
    def spread(self) -> float | None:
        """Standard deviation of AUROC over seeds; None for a single one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSettings:
    """What all rows of the table share."""

    recipe: Recipe = field(default_factory=Recipe)
    """Training of the network; its seed is replaced by each of the protocol's."""
    penalties: tuple[float, ...] = PENALTIES
    resamples: int = 1000
    confidence: float = 0.95
    fewest: int = FEWEST_OF_EACH
    """Samples of each label that a category needs to be counted in the mean over categories."""
    seeds: tuple[int, ...] = SEEDS


def protocol_steps(vectors_ND: np.ndarray, questions: Questions, *, settings: StepSettings | None = None) -> list[Step]:
    """Returns the paper's protocol, each change alone, and the changes one after the other up to the honest protocol.

    Protocols that differ in what is measured alone are trained once. Intervals resample images in every row, in those
    of the paper's protocol too. A difference between rows whose test questions are the same is measured on the same
    resamples.

    Args:
        vectors_ND: One vector for each question, float.
        questions: Labels, images and categories.
        settings: What all rows share; the defaults where None.

    Raises: `ProbeError` for questions that cannot be divided or learned from.
    """
    vectors = checked_vectors(vectors_ND, questions.labels_N)
    table = _Table(vectors, questions, settings or StepSettings())
    paper = table.row("the paper's protocol", Protocol(), None, cumulative=False)
    rows = [paper]
    for name, change in CHANGES.items():
        rows.append(table.row(name, table.changed(change, Protocol()), paper, cumulative=False))
    last = paper
    for name, change in CHANGES.items():
        last = table.row(name, table.changed(change, last.protocol), last, cumulative=True)
        rows.append(last)
    return rows


def detect(
    vectors_ND: np.ndarray, questions: Questions, protocol: Protocol, settings: StepSettings, seed: int
) -> Detection:
    """Trains one detector by a protocol, with one seed, and answers its test rows."""
    labels, images = questions.labels_N, questions.images
    division = divide(labels, images, unit=protocol.unit, seed=seed)
    vectors = vectors_ND
    if protocol.standardised:
        mean_D, scale_D = channel_scales(vectors_ND[division.train])
        vectors = (vectors_ND - mean_D) / scale_D
    own_images = [images[row] for row in division.train]
    if protocol.detector == "logistic":
        grouping = own_images if protocol.unit == "image" else list(map(str, division.train))
        detector = fit_logistic(
            vectors[division.train],
            labels[division.train],
            grouping,
            penalties=settings.penalties,
            standardised=False,
            seed=seed,
        )
        return Detection(
            division=division,
            probabilities=detector.probabilities(vectors[division.test]),
            training_probabilities=detector.probabilities(vectors[division.train]),
        )
    validation = None
    if protocol.epoch == "validation":
        own = labels[division.train]
        inner = (
            divide_groups(own, own_images, seed=seed) if protocol.unit == "image" else divide_questions(own, seed=seed)
        )
        validation = division.train[inner.test]
    recipe = replace(settings.recipe, seed=seed)
    return trained_detection(vectors, labels, division, recipe=recipe, validation=validation)


class _Table:
    """Rows of the table, with the detectors that were trained for them."""

    def __init__(self, vectors_ND: np.ndarray, questions: Questions, settings: StepSettings) -> None:
        self._vectors_ND, self._questions, self._settings = vectors_ND, questions, settings
        self._detections: dict[Protocol, Detection] = {}

    def changed(self, change: Callable[[Protocol], Protocol], protocol: Protocol) -> Protocol:
        """Applies a change, with the seeds of the settings where there are to be several."""
        changed = change(protocol)
        return changed if changed.seeds == protocol.seeds else replace(changed, seeds=self._settings.seeds)

    def row(self, name: str, protocol: Protocol, before: Step | None, *, cumulative: bool) -> Step:
        intervals = [self._interval(protocol, seed) for seed in protocol.seeds]
        known = [interval for interval in intervals if interval is not None]
        auroc = over_seeds(known)
        difference = None
        if before is not None and before.auroc is not None and auroc is not None:
            difference = auroc.value - before.auroc.value
        return Step(
            name=name,
            protocol=protocol,
            cumulative=cumulative,
            auroc=auroc,
            training_auroc=self._training_auroc(protocol),
            by_seed=tuple(interval.value for interval in known),
            before=before.name if before else "",
            difference=difference,
            difference_interval=self._difference(protocol, before.protocol) if before else None,
        )

    def _detection(self, protocol: Protocol, seed: int) -> Detection:
        """Returns a detector that was trained before where what is measured alone differs."""
        key = replace(protocol, averaged="pooled", seeds=(seed,))
        if key.detector == "logistic":
            key = replace(key, epoch="last")  # it has no epochs
        if key not in self._detections:
            self._detections[key] = detect(self._vectors_ND, self._questions, key, self._settings, seed)
        return self._detections[key]

    def _interval(self, protocol: Protocol, seed: int) -> Interval | None:
        detection = self._detection(protocol, seed)
        rows, statistic = self._measured({"": (protocol, detection)})
        return self._from_resamples(rows, statistic, detection.division.test, "", "auroc")

    def _difference(self, protocol: Protocol, before: Protocol) -> Interval | None:
        if len(protocol.seeds) > 1 or len(before.seeds) > 1:
            return None
        seed, other_seed = protocol.seeds[0], before.seeds[0]
        own, other = self._detection(protocol, seed), self._detection(before, other_seed)
        if not np.array_equal(own.division.test, other.division.test):
            return None
        rows, statistic = self._measured({"own": (protocol, own), "other": (before, other)})

        def difference(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
            values = statistic(scores, counts_RS)
            return {"": values["own"] - values["other"]} if len(values) == 2 else {}

        return self._from_resamples(rows, difference, own.division.test, "", "difference")

    def _measured(self, detections: Mapping[str, tuple[Protocol, Detection]]) -> tuple[np.ndarray, Statistic]:
        """Returns rows (label, score by each) of their common test questions, and AUROC as each protocol takes it."""
        test = next(iter(detections.values()))[1].division.test
        own = self._questions.take(test)
        columns = [own.labels_N, *(detection.probabilities for _, detection in detections.values())]
        counted = counted_kinds(own.labels_N, own.categories, fewest=self._settings.fewest)

        def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
            truth_S, *by_detector = np.asarray(scores).T
            found = {}
            for (name, (protocol, _)), scores_S in zip(detections.items(), by_detector, strict=True):
                if protocol.averaged == "pooled":
                    found[name] = auroc_of(truth_S, scores_S, counts_RS)
                elif counted:
                    found[name] = macro_auroc(truth_S, scores_S, list(counted.values()), counts_RS)
            return found

        return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1), statistic

    def _from_resamples(
        self, rows: np.ndarray, statistic: Statistic, test: np.ndarray, name: str, scale: str
    ) -> Interval | None:
        value = point_estimate(statistic, rows).get(name)
        if value is None:
            return None
        groups = [self._questions.images[row] for row in test]
        draws = resampled(rows, groups, statistic, resamples=self._settings.resamples)[name]
        low, high = ends(scale, value, draws, groups=effective_groups(groups), confidence=self._settings.confidence)
        return Interval(value, low, high)

    def _training_auroc(self, protocol: Protocol) -> float | None:
        values = []
        for seed in protocol.seeds:
            detection = self._detection(protocol, seed)
            truth_S = self._questions.labels_N[detection.division.train]
            counts_RS = np.ones((1, len(truth_S)), np.int64)
            values.append(float(auroc_of(truth_S, detection.training_probabilities, counts_RS)[0]))
        return float(np.mean(values)) if np.isfinite(values).all() else None
