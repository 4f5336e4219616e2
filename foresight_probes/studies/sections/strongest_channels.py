"""The channels that carry most of the length of tokens, by layer."""

from collections import Counter

import numpy as np

from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.looked_up import looked_up
from foresight_probes.studies.parts import Part, Table
from foresight_probes.studies.sample_means import mean_of
from foresight_probes.studies.study import SectionRequest


class Section(sections.Section):
    """The strongest channel of the tokens of each image of a group (`words`), visual ones and words."""

    needs = ("words",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table. Raises `ProbeError` where nothing was looked up."""
        every = looked_up(evidence, request).statistics
        rows = []
        for point, own in every.groupby("point", sort=False):
            first = Counter(int(channels[0]) for channels in own["channels"])
            channel, images = min(first.items(), key=lambda each: (-each[1], each[0]))
            strongest = np.array([shares[0] for shares in own["shares"]], float)
            three = np.array([np.sum(shares) for shares in own["shares"]], float)
            groups = own["group"].tolist()
            rows.append(
                (str(point), mean_of(strongest, groups), mean_of(three, groups), str(channel), images / len(own))
            )
        columns = ("point", "strongest", "three strongest", "most often channel", "in so many images")
        return [Table(columns=columns, rows=tuple(rows), note=_NOTE)]


_NOTE = (
    "Shares of the sum of squares of all channels, means over images. A channel that has most of it in nearly all "
    "images decides the cosine of any two tokens, whatever they show."
)
