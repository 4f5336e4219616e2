"""Which words are nearest: how many different ones, the most frequent one, and from which layer of the index."""

import numpy as np

from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.found_words import FoundWords
from foresight_probes.studies.looked_up import looked_up
from foresight_probes.studies.parts import HeatMap, Part, Table
from foresight_probes.studies.study import SectionRequest


class Section(sections.Section):
    """The nearest word of each token of a group (`words`), at all points and by all lenses."""

    needs = ("words",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table and a heat map. Raises `ProbeError` where nothing was looked up."""
        found = looked_up(evidence, request)
        rows = []
        for lens in found.lenses:
            for point in found.points_by(lens):
                own, (word, share) = found.counts.places[point, lens], found.hub(point, lens)
                rows.append((lens, point, own.tokens, own.similarity / own.tokens, len(own.nearest), word, share))
        columns = ("lens", "point", "tokens", "mean of the nearest", "different words", "most frequent", "its share")
        table = Table(columns=columns, rows=tuple(rows), note=_NOTE)
        return [table, *([_heat_map(found)] if found.points_by("contextual") else [])]


_NOTE = (
    "The mean is of cosines, by the lens logit of logits. Where one word is the nearest of most tokens it is a hub, "
    "which is near to everything, and a high cosine says nothing of any image."
)


def _heat_map(found: FoundWords) -> HeatMap:
    points = found.points_by("contextual")
    counts = [found.counts.places[point, "contextual"].layers for point in points]
    layers = sorted({layer for own in counts for layer in own})
    return HeatMap(
        title="Layer of the index that the nearest word is of",
        rows=points,
        columns=tuple(map(str, layers)),
        values_RC=np.array([[own[layer] / own.total() for layer in layers] for own in counts]),
        meaning="share of tokens",
        across="contextual layer",
        down="point",
        note="Rows sum to 1. Layers that are the nearest of no token are left out.",
    )
