"""What an outside judge found in the words of tokens, beside what it found in words of other images."""

from foresight_cache.errors import ProbeError
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.looked_up import looked_up
from foresight_probes.studies.parts import Cell, Part, Table
from foresight_probes.studies.study import SectionRequest


class Section(sections.Section):
    """Verdicts on the words of a group (`words`); a judge that is lenient is so with words of other images too."""

    needs = ("words",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table. Raises `ProbeError` where nobody was asked."""
        found = looked_up(evidence, request)
        if not found.judged:
            raise ProbeError(found.without_verdicts)
        rows: list[tuple[Cell, ...]] = [
            (lens, point, own.items, *(own.intervals[name] for name in ("rate", "chance", "over_chance")))
            for lens in found.lenses
            for point in found.points
            if (own := found.judged.get((point, lens)))
        ]
        columns = ("lens", "point", "judged", "words of the token", "words of another image", "over chance")
        return [Table(columns=columns, rows=tuple(rows), note=_NOTE)]


_NOTE = (
    "Shares of the marked parts of images of which the judge says that one of the words tells something. Half of the "
    "items have words of another image, which the judge cannot know: what it says of these is its chance."
)
