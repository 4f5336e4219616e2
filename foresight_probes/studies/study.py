"""A study as its file has it: data, runs, measures, criteria with thresholds, and what follows from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from foresight_probes.options import TrainingOptions
from foresight_probes.studies.conditions import Condition
from foresight_probes.studies.thresholds import Threshold

FACTORS = ("size", "merging", "model", "samples", "parameters", "layer")
"""What a measure can be drawn over: variants of a dataset, training samples, trained numbers of heads, or points."""
RECOMMENDED = "recommended"
"""Name, in place of a point, of the one that validation chooses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyDataset:
    """Data that a study is of."""

    dataset: str
    """Name of the dataset's manifest."""
    split: str
    samples: int
    """Samples that it is meant to have."""
    media: str
    """`image` or `clip`."""
    size: str = "448"
    """Input size, as `foresight extract --size` takes it."""
    frames: int | None = None
    """Frames of clips."""
    reverse: str = "none"
    """`half` where half of the clips are played backwards, as `foresight extract --reverse` does it."""
    drawn: bool = False
    """True where `foresight prepare` draws it, and needs no folder of raw data."""
    model: str = ""
    """Model of its cache; empty for that of the study."""
    prompt: str | None = None
    """Prompt of the model, with `{question}` for that of each sample; None for any."""
    blank: str = "none"
    """What stands in the place of each image: `grey` or `noise`, as `foresight extract --blank-image` has it."""
    merged: int = 1
    """Rows and columns of neighbouring tokens whose mean stands for them, as `foresight merge-tokens` makes it."""
    variant_of: str = ""
    """Name of the dataset of which it shows the same samples in another way; empty for those that stand alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunGroup:
    """Runs that are trained together, on one dataset by one recipe: a sweep."""

    dataset: str
    """Name of one of the study's datasets."""
    tasks: tuple[str, ...]
    points: tuple[str, ...]
    heads: tuple[str, ...] | None = None
    """None for those of each task."""
    seeds: tuple[int, ...] = (0,)
    controls: bool = True
    options: TrainingOptions = field(default_factory=TrainingOptions)
    variants: tuple[str, ...] = ()
    """Names of the dataset's variants, on each of which there is a group of the same runs."""
    halvings: int = 0
    """How often the samples that train and select are halved, with a group of the same runs each time."""
    halved: int = 0
    """How often those of this group itself are; the test samples stay the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WordGroup:
    """Tokens whose nearest words are looked up, in an index that `foresight lens index` made."""

    dataset: str
    """Name of one of the study's datasets."""
    points: tuple[str, ...]
    """Points in the language model's space."""
    text: tuple[str, ...] = ()
    """Points of the words of the prompt, whose lengths stand beside those of visual tokens."""
    lenses: tuple[str, ...] = ("contextual",)
    top: int = 5
    """Words of each token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What is measured at a point: a metric of a task, by the head that validation chooses there; or of words."""

    title: str
    runs: str = ""
    """Name of the group of runs; empty for the bytes of stored features."""
    task: str = ""
    metric: str = ""
    heads: tuple[str, ...] | None = None
    """Heads that may be chosen; None for all of the runs."""
    diverged: bool = False
    """True for the number of runs whose training diverges, which is counted and not estimated."""
    words: str = ""
    """Name of the group of words, where the metric is of these; there are no runs then."""
    lens: str = ""
    """One of that group's lenses."""

    @property
    def is_bytes(self) -> bool:
        """True for the bytes of a sample's stored features, which are counted and not estimated."""
        return not self.runs and not self.words


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """A part of a score: weight × measure / over, or weight × (from - measure) / over."""

    measure: str
    weight: float
    over: float = 1.0
    start: float | None = None
    """What the measure is taken from, where less of it is better."""

    def of(self, value: Any) -> Any:
        """Returns its part of the score for a value of the measure, a number or an array."""
        return self.weight * (value if self.start is None else self.start - value) / self.over


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A weighted sum of measures of one point."""

    title: str
    terms: tuple[Term, ...]
    points: tuple[str, ...]
    bands: Mapping[str, Threshold]
    """Names of its ranges, the first of which that is met is the score's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Criterion:
    """A measure at a point, or over several, with thresholds; each of these with its name is a claim."""

    title: str
    measure: str
    """Name of a measure or a score."""
    points: tuple[str, ...]
    which: str = "one"
    """`one` point; `all` of several, or `any` of them, must meet a threshold."""
    against: tuple[str, ...] = ()
    """Points whose value is subtracted, or, of bytes, divided by; empty for the value itself."""
    levels: Mapping[str, Threshold]


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """An end of the decision table."""

    name: str
    when: Condition | None
    """None where no other branch is taken."""
    means: str
    next: str
    fallback: str = ""
    """Point to fall back to; empty where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A claim that, where it is met, is a failure of its own."""

    claim: str
    is_hard: bool
    means: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A measure over points in the order of computation, and the threshold below which it must not fall."""

    title: str
    measure: str
    points: tuple[str, ...]
    falls: Threshold


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """Points of which one is recommended: that which is best on validation."""

    measure: str
    points: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionRequest:
    """A section of the report that a study asks for; each kind (`studies.sections`) says which fields it reads."""

    kind: str
    title: str
    runs: str = ""
    """Name of a group of runs."""
    words: str = ""
    """Name of a group of words."""
    task: str = ""
    """One of the group's tasks."""
    measures: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    """Points that others are compared with."""
    heads: tuple[str, ...] | None = None
    """Heads that may be chosen; None for all."""
    datasets: tuple[str, ...] = ()
    """Names of the study's datasets."""
    values: tuple[float, ...] = ()
    """Numbers that the kind explains, such as limits."""
    samples: int = 0
    """Samples to be shown or used; 0 for the kind's own number."""
    types: tuple[str, ...] = ()
    """Types of questions, as `qa.type` has them; empty for all."""
    factor: str = ""
    """What measures are drawn over; one of `FACTORS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Raters:
    """What people would have to judge of reconstructions."""

    measure: str
    """Measure of the runs whose reconstructions are judged."""
    points: tuple[str, ...]
    questions: tuple[str, ...]
    samples: int
    """Test samples, the same at each point."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A study file."""

    name: str
    version: int
    digest: str
    """SHA-256 of the file's values."""
    title: str
    question: str
    model: str
    """Model that it is about, for the commands that are missing."""
    datasets: Mapping[str, StudyDataset]
    runs: Mapping[str, RunGroup]
    measures: Mapping[str, Measure]
    scores: Mapping[str, Score]
    criteria: Mapping[str, Criterion]
    decision: tuple[Branch, ...]
    failures: tuple[Failure, ...]
    curves: Mapping[str, Curve]
    sections: Mapping[str, SectionRequest]
    recommendation: Recommendation | None
    raters: Raters | None
    expected: Mapping[str, Mapping[str, tuple[float, float]]]
    """Ranges that the plan expected, by measure and point."""
    not_measured: Mapping[str, str]
    """What the plan names and this study does not measure, with the reason."""
    words: Mapping[str, WordGroup] = field(default_factory=dict)
    """Groups of tokens whose nearest words are looked up."""

    def own_datasets(self) -> dict[str, StudyDataset]:
        """Returns the datasets without their variants."""
        return {name: data for name, data in self.datasets.items() if not data.variant_of}

    def claims(self) -> Iterator[tuple[str, str, Threshold]]:
        """Yields criterion, level and threshold of all claims."""
        for name, criterion in self.criteria.items():
            for level, threshold in criterion.levels.items():
                yield name, level, threshold

    def points_of(self, measure: str) -> tuple[str, ...]:
        """Returns all texts for points at which a measure or a score is asked for."""
        own = [criterion for criterion in self.criteria.values() if criterion.measure == measure]
        texts = [text for criterion in own for text in (*criterion.points, *criterion.against)]
        texts += self.scores[measure].points if measure in self.scores else ()
        return tuple(dict.fromkeys(texts))
