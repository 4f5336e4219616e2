"""A report of one or several folders of runs: its topics, one for each task, and its pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from foresight_probes.report.drawn_tasks import FIGURES, DrawnTask, draw_tasks
from foresight_probes.report.figures import folders_over_points
from foresight_probes.report.folders import Beside, Folder, chosen_line, differing, names_of, points_of, rows_beside
from foresight_probes.report.page import Section, page
from foresight_probes.report.rendering import run_templates
from foresight_probes.report.run_links import RunLinks, anchor
from foresight_probes.report.slides import Deck
from foresight_probes.report.task_slides import beside_slide, table_slide, task_slide
from foresight_probes.results.metric_names import direction, label
from foresight_probes.results.result import load_results


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A task in all folders that have it."""

    name: str
    anchor: str
    tasks: tuple[DrawnTask, ...]
    """One for each folder."""
    beside: tuple[Beside, ...]
    """One for each first metric, which options of a task choose; none where one folder alone is reported."""


def load_folders(runs: Sequence[Path], remark: Callable[[str], None]) -> list[Folder]:
    """Reads folders of runs. Raises `ProbeError`."""
    return [
        Folder(name=name, page=page(load_results(folder, remark=remark)))
        for name, folder in zip(names_of(runs), runs, strict=True)
    ]


def write_pages(folders: Sequence[Folder], out: Path, *, pdf: bool, command: str, written: date | None) -> Path:
    """Writes the pages, their figures and, if wanted, the slides; returns `report.html`. Raises `OSError`."""
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    found = topics(folders, out)
    names = {
        **{"folders": folders, "topics": found, "links": RunLinks(out), "command": command},
        "models": list(dict.fromkeys(str(folder.page.model["name"]) for folder in folders)),
        "under": _under(folders),
        "remarks": [],
        "written": written.isoformat() if written else "",
    }
    for suffix in ("md", "html"):
        text = run_templates().get_template(f"report.{suffix}.jinja").render(**names)
        (out / f"report.{suffix}").write_text(text, encoding="utf-8")
    if pdf:
        (out / "report.pdf").write_bytes(_slides(folders, found, command, written))
    return out / "report.html"


def _slides(folders: Sequence[Folder], found: Sequence[Topic], command: str, written: date | None) -> bytes:
    """Returns the slides: a title, then of each task the folders beside each other, the figures and the numbers."""
    title = f"What probes read from {' and '.join(dict.fromkeys(str(own.page.model['name']) for own in folders))}"
    deck = Deck(title)
    deck.page(title, size=22)
    deck.paragraph(_under(folders), grey=True)
    for folder in folders:
        if folder.page.notice:
            deck.paragraph(folder.page.notice, lead=folder.name if len(folders) > 1 else "")
    for topic in found:
        for beside in topic.beside:
            beside_slide(deck, topic.name, beside)
        for task in topic.tasks:
            task_slide(deck, task)
            table_slide(deck, task)
    deck.page("Where this comes from")
    rows = [
        (f"cache of {own.name}", f"{own.page.cache.get('path')}; {own.page.cache.get('digest')}") for own in folders
    ]
    rows += [("command", command)] if command else []
    deck.table(("what", ""), [*rows, *([("written", written.isoformat())] if written else [])])
    return deck.save(written)


def topics(folders: Sequence[Folder], out: Path) -> list[Topic]:
    """Draws the figures of all tasks into `out`, and returns the tasks in the order in which folders have them."""
    single = len(folders) == 1
    drawn = [
        own
        for folder in folders
        for own in draw_tasks(folder.page, out, folder=folder.name, place=() if single else (folder.name,))
    ]
    return [
        Topic(
            name=task,
            anchor=anchor(task),
            tasks=tuple(own for own in drawn if own.section.task == task),
            beside=() if single else _beside(task, folders, out),
        )
        for task in dict.fromkeys(own.section.task for own in drawn)
    ]


def _beside(task: str, folders: Sequence[Folder], out: Path) -> tuple[Beside, ...]:
    found = {folder.name: own for folder in folders if (own := folder.section(task))}
    parts = list[Beside]()
    for metric in dict.fromkeys(own.primary for own in found.values()):
        sections = {name: own for name, own in found.items() if own.primary == metric}
        points = points_of(list(sections.values()))
        lines = [chosen_line(name, own) for name, own in sections.items()]
        picture = f"{FIGURES}/{anchor(task)}{'' if not parts else '-' + anchor(metric)}.png"
        parts.append(
            Beside(
                metric=metric,
                folders=tuple(sections),
                rows=rows_beside(list(sections.values()), RunLinks(out)),
                caption=_caption(metric, list(sections.values())),
                points=points,
                lines=tuple(lines),
                svg=folders_over_points.draw(task, metric, lines, points, (out / picture).with_suffix("")),
                picture=picture,
            )
        )
    return tuple(parts)


def _caption(metric: str, sections: Sequence[Section]) -> str:
    return (
        f"{label(metric)[0].upper()}{label(metric)[1:]} ({direction(metric)}) of the head that validation chooses at "
        "each point, a line for each folder, with intervals; dotted is the mean predictor of each. The table has all "
        f"heads. {differing(sections)}"
    )


def _under(folders: Sequence[Folder]) -> str:
    datasets = list(dict.fromkeys(str(folder.page.cache.get("dataset") or "without a name") for folder in folders))
    noun = "Dataset" if len(datasets) == 1 else "Datasets"
    several = f"; {len(folders)} folders of runs beside each other" if len(folders) > 1 else ""
    trained = f"trained from {'the cache' if len(folders) == 1 else 'caches'} alone"
    return f"{noun} {' and '.join(datasets)}, {trained}{several}."
