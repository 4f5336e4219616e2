"""How often one of the words near a token is a word about its image, beside how often it is one about another image."""

from foresight_cache.errors import ProbeError
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.found_words import FoundWords
from foresight_probes.studies.looked_up import looked_up
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table
from foresight_probes.studies.study import SectionRequest


class Section(sections.Section):
    """The words of a group (`words`) against what people wrote about each image, at all points and by all lenses."""

    needs = ("words",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table and a figure for each lens. Raises `ProbeError` where nothing was looked up."""
        found = looked_up(evidence, request)
        if not found.counts.samples or all(found.rates(*place) is None for place in found.counts.places):
            raise ProbeError(found.without_rates)
        rows = [_row(found, point, lens) for lens in found.lenses for point in found.points_by(lens)]
        columns = ("lens", "point", "nearest word", "by chance", f"any of {found.top}", "chance", "over chance")
        table = Table(columns=(*columns, "any of the medium"), rows=tuple(rows), note=_note(found))
        return [table, *(_figure(found, lens) for lens in found.lenses)]


def _row(found: FoundWords, point: str, lens: str) -> tuple[Cell, ...]:
    own = found.counts.places[point, lens]
    nearest, any_of = found.rates(point, lens, nearest_alone=True), found.rates(point, lens)
    if nearest is None or any_of is None:
        return (lens, point, *[found.without_rates] * 5, own.medium / own.tokens)
    first, every = nearest.intervals, any_of.intervals
    return (
        *(lens, point, first["rate"], first["chance"]),
        *(every["rate"], every["chance"], every["over_chance"], own.medium / own.tokens),
    )


def _figure(found: FoundWords, lens: str) -> Lines:
    drawn = {point: rates.intervals for point in found.points if (rates := found.rates(point, lens))}
    titles = {"rate": "words of the image", "chance": "words of other images"}
    series = (
        Series(name=title, places=tuple(drawn), values=tuple(own[name] for own in drawn.values()))
        for name, title in titles.items()
    )
    return Lines(
        title=f"Tokens with a word of the image among the nearest {found.top}, lens {lens}",
        across="point",
        up="share of tokens",
        series=tuple(series),
    )


def _note(found: FoundWords) -> str:
    without = (
        f" {found.counts.without:,} images have no such words and no part in this." if found.counts.without else ""
    )
    return (
        f"Of {len(found.counts.samples):,} images, the mean share of tokens of which the nearest word, or any of the "
        f"nearest {found.top}, is a word of the image: of its captions, or else of the names of its objects and class, "
        "in lower case, without words of grammar. A part of a word stands for the word of its phrase. Chance is the "
        "same share of words of other images, the mean over all images of other groups, so that a word which many "
        "images share counts for nothing. Of the medium are words such as photo, which fit every image and count for "
        f"no image. Intervals are of images drawn again.{without} The index is {found.index}, "
        f"and has {found.coverage:.0%} of the words of an image."
    )
