"""What can be answered without the pictures: from the text alone, and from a blank input in the place of each.

Features of a text that is the same for all samples are the same for all samples, and so are those of a blank input of
one size. Whatever head reads them answers with a constant, or with a function of the place among the tokens alone, and
the best of these is the mean predictor, which each task has. So nothing is extracted for these baselines.
"""

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.results.pairs import task_of
from foresight_probes.results.result import Result
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table, of_runs
from foresight_probes.studies.study import Measure, SectionRequest

_QUESTION = "{question}"
"""Placeholder in the prompt of a cache for the question of each sample."""
_OWN_QUESTION = "each sample has a question of its own in its prompt, which may tell something of the answer"
_NOTE = (
    "Features of the text alone are the same for all samples where the prompt is, and features of a blank input are "
    "where its size is: the best that any head can read from them is the best constant answer of the training "
    "samples, which is the mean predictor (of answers for each token, the best at each place). These are its values on "
    "the test samples, with 95 % intervals. A blank input is of one colour to its edges. Where samples differ in their "
    "size, the control positions-only has what the grid tells."
)


class Section(sections.Section):
    """The mean predictor of each of `measures`, as what text alone and a blank input tell, where they tell no more."""

    needs = ("measures",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns one table. Raises `ProbeError` for a measure that is not of runs."""
        rows = tuple(_row(evidence, name) for name in request.measures)
        return [Table(columns=("measure", "text alone", "blank input", "remark"), rows=rows, note=_NOTE)]


def _row(evidence: Evidence, name: str) -> tuple[Cell, ...]:
    measure, cache = evidence.study.measures.get(name), evidence.cache_of(name)
    if measure is None or not measure.runs:
        raise ProbeError(f"{name} is no metric of runs, which alone have a mean predictor")
    result = next((own for own in evidence.mean_predictors.get(measure.runs, ()) if own.task == measure.task), None)
    if result is None or cache is None:
        said = f"not measured: {_why_none(evidence, measure)}"
        return measure.title, said, said, None
    if (value := result.metrics.get(measure.metric)) is None:
        said = f"not measured: the mean predictor has no {measure.metric}"
        return measure.title, said, said, None
    text, blank = why_text_tells(cache, result), why_blank_tells(cache)
    remarks = [] if measure.metric == result.primary else [f"the constant that is best by {result.primary}"]
    if not blank and _are_told_times(cache):
        remarks.append(
            "of blank clips at points of the vision tower alone: the language model is told when frames are shown, "
            "which differs between these clips"
        )
    found = of_runs(value, result)
    return (
        measure.title,
        f"not measured: {text}" if text else found,
        f"not measured: {blank}" if blank else found,
        "; ".join(remarks) or None,
    )


def _why_none(evidence: Evidence, measure: Measure) -> str:
    missing = evidence.missing.get(measure.runs) or evidence.missing.get(f"{measure.runs}.{measure.task}")
    if not missing and tasks.load(measure.task).targets_from == "features":
        return f"the answers of {measure.task} are features, others at each point, and no mean predictor stands apart"
    return missing or f"{measure.task} has no mean predictor"


def why_text_tells(cache: Cache, result: Result) -> str:
    """Returns why text alone is not the mean predictor of a task, in words; empty where it is."""
    prompt = cache.fingerprint.get("model", {}).get("prompt")
    if prompt is None:
        return "the model is given no text"
    if _QUESTION in prompt:
        return _OWN_QUESTION
    if "per_sample" not in task_of(result).outputs_for(width=1, grid=Grid(1, 1, 1)).predicts:
        return "there is an answer for each place in the input, and text has no such places"
    return ""


def why_blank_tells(cache: Cache) -> str:
    """Returns why a blank input is not the mean predictor of a task, in words; empty where it is."""
    if _QUESTION in (cache.fingerprint.get("model", {}).get("prompt") or ""):
        return _OWN_QUESTION
    good = [row for row in cache.rows if row["status"] == "ok"]
    sizes = {(row["grid_pixel"], row["grid_patch"], row["grid_merged"]) for row in good}
    if len(sizes) != 1:
        return f"inputs are of {len(sizes):,} sizes, which a head sees in the number of tokens"
    return ""


def _are_told_times(cache: Cache) -> bool:
    """Returns whether the model is told times of frames, and these differ between clips."""
    if "assumed_rate" not in cache.fingerprint.get("model", {}):
        return False
    return len({row["frame_times"] for row in cache.rows if row["status"] == "ok" and row["media"] == "clip"}) > 1
