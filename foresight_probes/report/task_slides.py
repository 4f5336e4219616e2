"""Slides of a task: what validation chooses, its figure, how its numbers came about, and folders beside each other."""

from functools import partial

from foresight_probes.report.drawn_tasks import DrawnTask
from foresight_probes.report.figures import folders_over_points, metric_over_points
from foresight_probes.report.folders import Beside
from foresight_probes.report.rendering import caption
from foresight_probes.report.slides import Deck, Words
from foresight_probes.results.metric_names import direction, label, marked
from foresight_probes.results.result import format_interval


def task_slide(deck: Deck, task: DrawnTask) -> None:
    """Writes a slide with the figure of a task."""
    section = task.section
    deck.page(f"{task.folder}: {section.task}" if task.folder else section.task)
    best = section.best
    if best:
        doubt = section.doubt_of(best)
        few = f", of {best.too_few}" if best.too_few else ""
        deck.paragraph(
            f"The validation split would choose {best.head} on {best.point}; its {label(section.primary)} "
            f"({direction(section.primary)}) on the test split is {format_interval(best.value)}{few}"
            f"{f', which is {doubt}' if doubt else ''}."
            + (f" The mean predictor reaches {format_interval(section.chance)}." if section.chance else "")
        )
    deck.paragraph(caption(section), grey=True, size=7.5)
    deck.figure(partial(metric_over_points.plot, section=section))


def table_slide(deck: Deck, task: DrawnTask) -> None:
    """Writes a slide with all numbers of a task; those that say nothing are struck through."""
    section = task.section
    deck.page(f"{task.folder}: {section.task}, all numbers" if task.folder else f"{section.task}, all numbers")
    rows = [
        (
            result.point,
            result.head,
            str(result.seed),
            *(
                Words(format_interval(result.metrics[name]), struck=bool(section.doubt_of(result)))
                if name in result.metrics
                else "not defined"
                for name in section.metrics
            ),
            f"{result.split['test']}{f' ({result.too_few})' if result.too_few else ''}",
        )
        for result in (*section.results, *section.constant)
    ]
    deck.table(("point", "head", "seed", *map(marked, section.metrics), "n"), rows)


def beside_slide(deck: Deck, task: str, beside: Beside) -> None:
    """Writes slides with the figure and the numbers of a task in several folders."""
    deck.page(f"{task}: {label(beside.metric)}")
    deck.paragraph(beside.caption, grey=True, size=8.5)
    draw = partial(folders_over_points.plot, task=task, metric=beside.metric, lines=beside.lines, points=beside.points)
    deck.figure(draw)
    deck.page(f"{task}: {label(beside.metric)}, all numbers")
    rows: list[tuple[str | Words, ...]] = [
        (row.point, row.head, *(Words(cell.text or "not trained", struck=bool(cell.doubt)) for cell in row.cells))
        for row in beside.rows
    ]
    deck.table(("point", "head", *(f"{name}: {marked(beside.metric)}" for name in beside.folders)), rows)
