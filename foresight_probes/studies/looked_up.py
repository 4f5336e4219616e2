"""The words that a section asks for."""

from foresight_cache.errors import ProbeError
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.found_words import FoundWords
from foresight_probes.studies.study import SectionRequest


def looked_up(evidence: Evidence, request: SectionRequest) -> FoundWords:
    """Returns the words of a request's group. Raises `ProbeError` with the reason where there are none."""
    if request.words not in evidence.words:
        raise ProbeError(evidence.missing.get(request.words, "its words were not looked up"))
    return evidence.words[request.words]
