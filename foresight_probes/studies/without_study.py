"""Sections that need no run of a probe, of one cache and without a study file."""

from collections.abc import Sequence

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.reader import Cache
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Shown
from foresight_probes.studies.study import SectionRequest, Study

CACHE = "cache"
"""Name that the cache has where it has no dataset's."""
TITLES = {
    "connector-loss": "What the connector loses",
    "depth-curves": "Curves over depth",
    "knn-segmentation": "Classes by nearest tokens",
    "propagation": "Masks passed on by nearest tokens",
}
"""Titles of kinds whose names do not say it in words."""


def kinds() -> tuple[str, ...]:
    """Lists the kinds of sections that read caches alone, in alphabetical order."""
    return tuple(name for name in sections.names() if sections.load(name).reads_caches_alone)


def requests(
    cache: Cache,
    names: Sequence[str] | None,
    *,
    points: Sequence[str] | None = None,
    against: Sequence[str] = (),
    samples: int = 0,
) -> dict[str, SectionRequest]:
    """Returns what is asked for, by kind; without names all kinds that need nothing which is not given.

    Raises `UnknownName` with the nearest kinds or points, and `UsageError` where a kind needs `against`.
    """
    dataset = dataset_of(cache)
    meant, other = (cache.select(texts) if texts else () for texts in (points, against))
    asked: dict[str, SectionRequest] = {}
    for name in kinds() if names is None else dict.fromkeys(names):
        if name not in kinds():
            raise UnknownName("measure", name, kinds())
        needs = sections.load(name).needs
        if "against" in needs and not other:
            if names is None:
                continue
            raise UsageError(f"{name} compares points with others; name these with --against, such as E5")
        asked[name] = SectionRequest(
            kind=name,
            title=TITLES.get(name, name.replace("-", " ").capitalize()),
            datasets=(dataset,),
            points=tuple(meant or cache.points),
            against=tuple(other) if "against" in needs else (),
            samples=samples if "samples" in (*needs, *sections.load(name).takes) else 0,
        )
    return asked


def dataset_of(cache: Cache) -> str:
    """Returns the name of a cache's dataset."""
    return str(cache.fingerprint.get("dataset", {}).get("name") or CACHE)


def show(cache: Cache, name: str, request: SectionRequest) -> Shown:
    """Returns a section, or the reason why there is nothing to show."""
    study = Study(
        **{"name": "", "version": 0, "digest": "", "title": "", "question": "", "model": ""},  # type: ignore[arg-type]
        **{"datasets": {}, "runs": {}, "measures": {}, "scores": {}, "criteria": {}, "decision": (), "failures": ()},  # type: ignore[arg-type]
        **{"curves": {}, "recommendation": None, "raters": None, "expected": {}, "not_measured": {}},  # type: ignore[arg-type]
        sections={name: request},
    )
    (shown,) = sections.show_all(Evidence(study=study, results={}, caches={request.datasets[0]: cache}))
    return shown
