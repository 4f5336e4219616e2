"""Shares of hallucinated answers by source, type and form of answer, before any probe, and who says so."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.sample_table import SampleTableRow
from foresight_probes.hallucination.category_rate import category_rate
from foresight_probes.hallucination.detection_metrics import auroc_of
from foresight_probes.metrics.resamples import mean
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.answered_questions import (
    UNKNOWN,
    category_of,
    judged_rows,
    questions_of,
    source_of,
    type_of,
)
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.judged_answers import label_of, qa_of
from foresight_probes.studies.parts import Cell, Part, Table
from foresight_probes.studies.study import SectionRequest
from foresight_probes.sweeps.targets import usable_rows

_DIGITS = 12
"""Characters of a digest that are shown."""
_YES_NO = {"yes", "no", "y", "n", "true", "false"}


class Section(sections.Section):
    """For each of `datasets` a table of label rates, and one of judges and models."""

    needs = ("datasets",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns two tables for each dataset. Raises `ProbeError` where no cache of them was given."""
        caches = [evidence.caches[name] for name in request.datasets if name in evidence.caches]
        if not caches:
            raise ProbeError(f"no cache of {', '.join(request.datasets)} was given")
        return [part for cache in caches for part in (_rates(cache), _provenance(cache))]


def _rates(cache: Cache) -> Table:
    rows = [cache.rows[row] for row in usable_rows(cache)]
    properties: dict[str, list[str]] = {
        "all": [""] * len(rows),
        "source": [source_of(row) for row in rows],
        "type": [type_of(row) for row in rows],
        "source and type": [category_of(row) for row in rows],
        "form of the right answer": [form_of(qa_of(row).get("references") or ()) for row in rows],
    }
    several = {by: len(set(values)) > 1 for by, values in properties.items()}
    several["source and type"] = several["source"] and several["type"]
    shown: list[tuple[Cell, ...]] = []
    for by, values in properties.items():
        if by == "all" or several[by]:
            shown += _of_property(by, values, rows)
    columns = ("by", "value", "questions", "right", "wrong", "undecided", "no answer", "hallucinated of decided")
    note = "Undecided answers and questions without an answer have no label and are left out of all that follows. "
    return Table(columns=columns, rows=tuple(shown), note=f"{note}{_said_of_category(cache)}")


def _of_property(by: str, values: Sequence[str], rows: Sequence[SampleTableRow]) -> list[tuple[Cell, ...]]:
    own: defaultdict[str, list[SampleTableRow]] = defaultdict(list)
    for value, row in zip(values, rows, strict=True):
        own[value].append(row)
    ordered = sorted(own.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(by, value, len(members), *_counts(members), rate_of(members)) for value, members in ordered]


def _counts(rows: Sequence[SampleTableRow]) -> tuple[int, int, int, int]:
    """Returns how many answers are right, wrong and undecided, and how many questions have none."""
    labels = [label_of(row) for row in rows]
    unknown = [row for row, label in zip(rows, labels, strict=True) if label is None]
    undecided = sum(is_answered(row) for row in unknown)
    return labels.count(False), labels.count(True), undecided, len(unknown) - undecided


def is_answered(row: SampleTableRow) -> bool:
    """Tells whether there is an answer to a sample's question."""
    return qa_of(row).get("answer") is not None or qa_of(row).get("outcome") is not None


def rate_of(rows: Sequence[SampleTableRow]) -> Interval | None:
    """Returns the share of hallucinated answers among those that are decided; None where none is."""
    decided = [row for row in rows if label_of(row) is not None]
    if not decided:
        return None
    labels = np.array([[float(bool(label_of(row)))] for row in decided])
    groups = [row["group"] for row in decided]
    found = bootstrap(labels, groups, lambda own, counts: {"accuracy": mean(np.asarray(own)[:, 0], counts)})
    return found["accuracy"]  # the scale of a share


def form_of(references: Sequence[str]) -> str:
    """Returns the form of a question's right answers.

    >>> form_of(["yes"]), form_of(["3"]), form_of(["B"]), form_of(["a red bus", "bus"]), form_of([])
    ('yes or no', 'number', 'letter', 'text', 'not known')
    """
    texts = [text.strip().strip(".").lower() for text in references]
    if not texts:
        return UNKNOWN
    if all(text in _YES_NO for text in texts):
        return "yes or no"
    if all(text.replace(".", "", 1).isdigit() for text in texts):
        return "number"
    return "letter" if all(len(text) == 1 and text.isalpha() for text in texts) else "text"


def _said_of_category(cache: Cache) -> str:
    """Returns in a sentence how well the category's rate alone ranks these answers, in hindsight."""
    rows = judged_rows(cache)
    questions = questions_of(cache, rows)
    if len(set(questions.categories)) < 2 or len(set(questions.labels_N.tolist())) < 2:
        return ""
    rates = category_rate(questions.labels_N, questions.categories, questions.categories, smoothing=0)
    value = auroc_of(questions.labels_N, rates, np.ones((1, len(rows)), np.int64))[0]
    return (
        f"Known for these very answers, the rate of each of {len(set(questions.categories))} categories (source and "
        f"type) alone ranks them with an AUROC of {value:.3f}, without image and without model."
    )


def _provenance(cache: Cache) -> Table:
    counts: Counter[tuple[str, ...]] = Counter()
    for row in (cache.rows[number] for number in usable_rows(cache)):
        qa = qa_of(row)
        if is_answered(row) or label_of(row) is not None:
            counts[str(qa.get("judge") or UNKNOWN), str(qa.get("judge_version") or UNKNOWN)[:_DIGITS]] += 1
    model = _model_of(cache)
    rows: tuple[tuple[Cell, ...], ...] = tuple((*judge, count, *model) for judge, count in sorted(counts.items()))
    columns = ("judge", "version", "answers", "model of the answers", "its fingerprint")
    note = (
        "A version is the digest of the rules' code, or what another judge says of itself. Of it, and of the model's "
        f"fingerprint, {_DIGITS} characters are shown; the lines of the answers have all."
    )
    return Table(title="Where the labels are from", columns=columns, rows=rows, note=note)


def _model_of(cache: Cache) -> tuple[str, str]:
    """Returns name and fingerprint of the model that answered."""
    model = cache.answers.model if cache.answers else {}
    return str(model.get("name") or UNKNOWN), str(model.get("fingerprint") or UNKNOWN)[:_DIGITS]
