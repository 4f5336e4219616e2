"""Tasks of a page with their figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foresight_probes.report.figures import metric_over_points
from foresight_probes.report.page import Page, Section
from foresight_probes.report.run_links import anchor

FIGURES = "figures"
"""Folder of figures, in that of a report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnTask:
    """The results of a task with their figure."""

    section: Section
    anchor: str
    """Name of its place in the page."""
    folder: str
    """Name of the folder of runs or of the group of runs that it is of; empty where there is one alone."""
    cache: Mapping[str, Any]
    """Provenance as in `Result.cache`."""
    svg: str
    picture: str
    """Path of the figure from the report's folder."""


def draw_tasks(content: Page, out: Path, *, folder: str = "", place: tuple[str, ...] = ()) -> tuple[DrawnTask, ...]:
    """Draws a figure of each task of a page into `out`/figures; `place` tells them from those of other pages."""
    drawn = []
    for section in content.sections:
        picture = f"{FIGURES}/{anchor(*place, section.task)}.png"
        drawn.append(
            DrawnTask(
                section=section,
                anchor=anchor(*place, section.task),
                folder=folder,
                cache=content.cache,
                svg=metric_over_points.draw(section, (out / picture).with_suffix("")),
                picture=picture,
            )
        )
    return tuple(drawn)
