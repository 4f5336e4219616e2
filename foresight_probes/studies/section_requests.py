"""The sections that a study file asks for, taken apart: each kind says which keys it needs and takes."""

from collections.abc import Collection, Mapping

from foresight_probes import heads
from foresight_probes.studies import sections
from foresight_probes.studies.located import Located
from foresight_probes.studies.point_texts import parse_points
from foresight_probes.studies.study import FACTORS, RunGroup, SectionRequest

_COMMON = ("kind", "title")


def parse_section(
    node: Located,
    datasets: Collection[str],
    runs: Mapping[str, RunGroup],
    measured: Collection[str],
    words: Collection[str] = (),
) -> SectionRequest:
    """Returns the request for a section. Raises `ManifestError` with the line of what cannot be.

    Args:
        node: The section's keys.
        datasets: The study's names of datasets.
        runs: Its groups of runs.
        measured: Names of its measures and scores.
        words: Names of its groups of words.
    """
    kind = node.fields(node.named(), _COMMON)["kind"].choice("kind of section", sections.names())
    own = sections.load(kind)
    fields = node.fields((*_COMMON, *own.needs, *own.takes), (*_COMMON, *own.needs))
    group = fields["runs"].choice("group of runs", runs) if "runs" in fields else ""
    of_group = runs[group].tasks if group else tuple(dict.fromkeys(task for own in runs.values() for task in own.tasks))
    return SectionRequest(
        kind=kind,
        title=fields["title"].text(),
        runs=group,
        words=fields["words"].choice("group of words", words) if "words" in fields else "",
        task=fields["task"].choice("task of these runs", of_group) if "task" in fields else "",
        measures=fields["measures"].choices("measure or score", measured) if "measures" in fields else (),
        points=parse_points(fields["points"]) if "points" in fields else (),
        against=parse_points(fields["against"]) if "against" in fields else (),
        heads=fields["heads"].choices("head", (*heads.names(), *heads.ALIASES)) if "heads" in fields else None,
        datasets=fields["datasets"].choices("dataset of this study", datasets) if "datasets" in fields else (),
        values=tuple(item.number() for item in fields["values"].items()) if "values" in fields else (),
        samples=fields["samples"].whole(1) if "samples" in fields else 0,
        types=fields["types"].texts() if "types" in fields else (),
        factor=fields["factor"].choice("factor", FACTORS) if "factor" in fields else "",
    )
