"""What detectors of hallucinated answers are compared with: the category of the question, and the answer's first token.

A category is the source and the type of a question together. Numbers are those of each tested question: its label, the
detector's logit, the number of its category, type and source, the rate of its category, and what the regression on
numbers of the answer says of it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foresight_cache.reader import Cache
from foresight_probes.hallucination.detection_metrics import auroc_of
from foresight_probes.hallucination.first_token import REGRESSION
from foresight_probes.hallucination.within_groups import counted_kinds, macro_auroc
from foresight_probes.metrics import Scores
from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore
from foresight_probes.studies.answered_questions import tested

OF_FIRST_TOKEN = ("first_token_auroc", "over_first_token", "over_first_token_within")
METRICS = (
    *("within_category_auroc", "within_type_auroc", "within_source_auroc", "category_auroc", "over_category"),
    *OF_FIRST_TOKEN,
)


def with_what_is_known(result: Result, cache: Cache) -> Result:
    """Returns a run whose scores are the numbers above, and why metrics of the first token are not measured.

    Raises `ProbeError` as `answered_questions.tested` does.
    """
    known = tested(result, cache)
    logits = {score.id: score.scores[1] for score in result.scores}
    regression = next((own for own in known.baselines if own.name == REGRESSION), None)
    first = np.full(len(known.ids), np.nan) if regression is None or regression.scores is None else regression.scores
    questions = known.questions
    columns = (
        questions.labels_N,
        [logits[name] for name in known.ids],
        *(_numbers(kinds) for kinds in (questions.categories, known.types, questions.sources)),
        known.category_rates,
        first,
    )
    rows = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    scores = tuple(
        SampleScore(name, group, tuple(map(float, row)))
        for name, group, row in zip(known.ids, questions.images, rows, strict=True)
    )
    reason = "" if regression is None else regression.reason
    missing = dict.fromkeys(OF_FIRST_TOKEN, reason) if reason else {}
    return replace(result, scores_source=scores, not_measured={**result.not_measured, **missing})


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the metrics of `METRICS` on resamples of such numbers; a `Statistic`.

    A mean within kinds is over those with at least `FEWEST_OF_EACH` samples of each label, and not there where no kind
    has so many; those of the first token are not there where an answer lacks its numbers.
    """
    rows = np.asarray(scores, np.float64)
    truth_S, logits_S, categories_S, types_S, sources_S, rates_S, first_S = rows.T
    own_R, category_R = (auroc_of(truth_S, values, counts_RS) for values in (logits_S, rates_S))
    found = {"category_auroc": category_R, "over_category": own_R - category_R}
    has_first = bool(np.isfinite(first_S).all())
    if has_first:
        first_R = auroc_of(truth_S, first_S, counts_RS)
        found |= {"first_token_auroc": first_R, "over_first_token": own_R - first_R}
    for name, kinds_S in (("category", categories_S), ("type", types_S), ("source", sources_S)):
        members = list(counted_kinds(truth_S, list(map(str, kinds_S))).values())
        if not members:
            continue
        found[f"within_{name}_auroc"] = within_R = macro_auroc(truth_S, logits_S, members, counts_RS)
        if name == "category" and has_first:
            found["over_first_token_within"] = within_R - macro_auroc(truth_S, first_S, members, counts_RS)
    return found


def _numbers(kinds: Sequence[str]) -> list[int]:
    """Returns the place of each kind among those that occur, in alphabetical order."""
    places = {kind: number for number, kind in enumerate(sorted(set(kinds)))}
    return [places[kind] for kind in kinds]
