"""The words that a study file asks for, and the measures of them."""

from collections.abc import Collection, Mapping

from foresight_probes.lens.lens_run import LENSES
from foresight_probes.studies.dataset_parsing import safe_names
from foresight_probes.studies.found_words import METRICS
from foresight_probes.studies.located import Located
from foresight_probes.studies.point_texts import parse_points
from foresight_probes.studies.study import Measure, WordGroup


def parse_words(node: Located, datasets: Collection[str]) -> dict[str, WordGroup]:
    """Returns groups of words by name."""
    return {name: _group(inner, datasets) for name, inner in safe_names(node).items()}


def _group(node: Located, datasets: Collection[str]) -> WordGroup:
    needed = ("dataset", "points")
    fields = node.fields((*needed, "text", "lenses", "top"), needed)
    return WordGroup(
        dataset=fields["dataset"].choice("dataset of this study", datasets),
        points=parse_points(fields["points"]),
        text=parse_points(fields["text"]) if "text" in fields else (),
        lenses=fields["lenses"].choices("lens", LENSES) if "lenses" in fields else ("contextual",),
        top=fields["top"].whole(1) if "top" in fields else 5,
    )


def parse_word_measure(node: Located, words: Mapping[str, WordGroup]) -> Measure:
    """Returns a measure of words, with the keys `title`, `words`, `lens` and `metric`."""
    fields = node.fields(("title", "words", "lens", "metric"), ("title", "words", "lens", "metric"))
    group = fields["words"].choice("group of words", words)
    return Measure(
        title=fields["title"].text(),
        words=group,
        lens=fields["lens"].choice("lens of these words", words[group].lenses),
        metric=fields["metric"].choice("metric of words", METRICS),
    )
