"""Pictures of the same few samples at each point, one part for each sample and a row for each point."""

from collections.abc import Callable, Collection

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.predictions.kept_run import Predicted
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Part, Picture, Pictures
from foresight_probes.studies.pictured import chosen, common_values, over_measures, pictured, predictions
from foresight_probes.studies.study import SectionRequest

Draw = Callable[[Predicted, float, Cache], tuple[Picture, ...]]
"""Function that draws a sample from its prediction and its value, with the cache that has what it shows."""


def sample_rows(
    evidence: Evidence, request: SectionRequest, tasks: Collection[str], draw: Draw, note: str
) -> list[Part]:
    """Returns the pictures of the samples at the asked places of the ranking, which the mean over points makes.

    Raises `ProbeError` where there is no run of a measure, or no sample that all of them tested.
    """

    def of_measure(name: str) -> list[Part]:
        own = pictured(evidence, name, request.points, tasks)
        places = chosen(common_values(own.runs), own.measure.metric, request.values)
        if not places:
            raise ProbeError(f"{own.measure.metric} is defined for no sample at all of the points alone")
        drawn: dict[str, dict[str, tuple[Picture, ...]]] = {sample: {} for sample in places}
        for run in own.runs:
            for predicted in predictions(run, places):
                sample = predicted.sample["id"]
                drawn[sample][run.point] = draw(predicted, run.values[sample], run.cache)
        said = f"{note} Samples are ranked by the mean of {own.measure.metric} over the points. {own.note}".strip()
        return [
            Pictures(
                title=f"{own.measure.title}, {place}: {sample}",
                rows=drawn[sample],
                note="" if number else said,
            )
            for number, (sample, place) in enumerate(places.items())
        ]

    return over_measures(request, of_measure)
