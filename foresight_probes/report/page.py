"""What a report says, before it is written as HTML or Markdown."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result, best_of_grids, format_interval
from foresight_probes.statistics.bootstrap import Interval

RANDOM_WEIGHTS = (
    "The weights of this model are random: it has the real architecture and was never trained. The numbers show "
    "that extraction, probes and report work together; they say nothing about a trained model."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One task."""

    task: str
    primary: str
    """Name of the metric that is drawn."""
    results: tuple[Result, ...]
    """In the order of computation, without the mean predictor."""
    constant: tuple[Result, ...]
    """The mean predictor, one for each seed."""

    @property
    def points(self) -> tuple[str, ...]:
        """In the order of computation, without `pixels`."""
        return tuple(dict.fromkeys(result.point for result in self.results if result.point != PIXELS))

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(sorted({result.head for result in self.results}))

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple((*self.results, *self.constant)[0].metrics)

    @property
    def best(self) -> Result | None:
        """What the validation split would choose among the points of the model; the test split is for reporting."""
        inside = [result for result in self.results if result.point != PIXELS]
        return max(inside, key=lambda result: result.validation["value"], default=None)

    def at(self, point: str, head: str) -> Interval | None:
        """The metric over all seeds: their mean, from the lowest to the highest end of their intervals."""
        return over_seeds([each.value for each in self.results if (each.point, each.head) == (point, head)])

    @property
    def chance(self) -> Interval | None:
        return over_seeds([result.value for result in self.constant])


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The whole report."""

    sections: tuple[Section, ...]
    cache: Mapping[str, Any]
    """Provenance as in `Result.cache`."""
    notice: str | None
    """What a reader must know before any number."""
    versions: Mapping[str, str]

    @property
    def model(self) -> dict[str, Any]:
        """The facts about the model that fit on a line."""
        described = {"name": "a model without a name", **self.cache.get("model", {})}
        return {name: value for name, value in described.items() if isinstance(value, str | int | float)}


def page(results: Sequence[Result]) -> Page:
    """Raises `ProbeError` where results are from several caches, or a task's from several splits or recipes."""
    _require_one(results, "cache", lambda result: result.cache.get("digest"))
    by_task: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_task[result.task].append(result)
    for task, some in by_task.items():
        _require_one(some, f"split of {task}", lambda result: result.split.get("digest"))
    first = results[0]
    return Page(
        sections=tuple(_section(task, best_of_grids(some)) for task, some in by_task.items()),
        cache=first.cache,
        notice=RANDOM_WEIGHTS if first.cache.get("model", {}).get("weights") == "random" else None,
        versions=first.versions,
    )


def over_seeds(intervals: Sequence[Interval]) -> Interval | None:
    """
    >>> over_seeds([Interval(0.25, 0.1, 0.5), Interval(0.75, 0.5, 0.875)])
    Interval(value=0.5, low=0.1, high=0.875)
    """
    if not intervals:
        return None
    mean = sum(each.value for each in intervals) / len(intervals)
    return Interval(mean, min(each.low for each in intervals), max(each.high for each in intervals))


def label(metric: str) -> str:
    """
    >>> label("mean_iou"), label("share_above_0.5")
    ('mean IoU', 'share above 0.5')
    """
    return metric.replace("_", " ").replace("iou", "IoU")


def caption(section: Section) -> str:
    """How the section's numbers came about, in plain words."""
    first = (*section.results, *section.constant)[0]
    split, options = first.split, first.options
    groups = len({score.group for score in first.scores})
    seeds = len({result.seed for result in section.results})
    several = f" Lines are means over {seeds} seeds, bars span the intervals of all." if seeds > 1 else ""
    return (
        f"Test split of {split.get('test')} images in {groups} groups, chosen by the hash of each sample's group; "
        f"{split.get('train')} images trained and {split.get('validation')} selected the epoch. "
        f"Bars are {options.get('confidence', 0):.0%} confidence intervals: percentile bootstrap over groups, "
        f"{options.get('resamples')} resamples.{several} The mean predictor is the best constant answer."
    )


def render(template: str, content: Page, figure: str) -> str:
    """Fills a template of this folder; everything in HTML is escaped but the figure, which is ours."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(("html.jinja",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(interval=format_interval, label=label, caption=caption, cell=_cell)
    names = {"PIXELS": PIXELS, "MEAN_PREDICTOR": MEAN_PREDICTOR}
    return environment.get_template(template).render(page=content, figure=figure, **names)


def _section(task: str, results: Sequence[Result]) -> Section:
    return Section(
        task=task,
        primary=results[0].primary,
        results=tuple(result for result in results if result.point != MEAN_PREDICTOR),
        constant=tuple(result for result in results if result.point == MEAN_PREDICTOR),
    )


def _require_one(results: Sequence[Result], what: str, key: Any) -> None:
    found = sorted({str(key(result)) for result in results})
    if len(found) > 1:
        shown = ", ".join(each[:12] for each in found)
        raise ProbeError(f"these results belong to more than one {what} ({shown}); keep each in its own folder.")


def _cell(text: object) -> str:
    """Text that does not break a Markdown table."""
    return str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
