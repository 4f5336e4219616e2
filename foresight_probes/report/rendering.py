"""The view of a report: its page as HTML or Markdown, by the templates of this folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from foresight_cache.points import PIXELS
from foresight_probes.calibration.state import CalibrationState
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.report.page import Section, samples_noun
from foresight_probes.report.run_links import train_command
from foresight_probes.results.control_values import ControlValue
from foresight_probes.results.metric_names import direction, label, marked
from foresight_probes.results.result import Result, format_interval
from foresight_probes.statistics.interval import Interval  # noqa: F401 - for the examples
from foresight_probes.studies.criteria import format_value


def caption(section: Section) -> str:
    """Tells in plain words how the section's numbers came about."""
    first = (*section.results, *section.constant)[0]
    split, options, noun = first.split, first.options, samples_noun(first.cache)
    seeds = len({result.seed for result in section.results})
    several = f" Lines are means over {seeds} seeds, bars span the intervals of all." if seeds > 1 else ""
    return (
        f"{_tested(split, noun)}; {split.get('train')} {noun} trained and {split.get('validation')} selected the "
        "epoch. "
        f"Bars are {options.get('confidence', 0):.0%} confidence intervals from a bootstrap over groups, "
        f"{options.get('resamples')} resamples{', and refits' if first.refits else ''}."
        f"{several}{_few(first)} The mean predictor is the best constant answer.{_controls(section)}"
        f"{_missing(section)}"
    )


def _tested(split: Mapping[str, Any], noun: str) -> str:
    if "folds" in split:
        return f"All {split['test']} {noun} in {split['groups']} groups, each tested once in {split['folds']} folds"
    return (
        f"Test split of {split['test']} {noun} in {split['groups']} groups, chosen by the hash of each sample's group"
    )


def _few(result: Result) -> str:
    if not result.too_few:
        return ""
    return f" These are {result.too_few}: intervals of so few cover less than they say; no number carries a verdict."


def _missing(section: Section) -> str:
    """Tells which metrics were not measured, where, and why."""
    every = (*section.results, *section.constant)
    where: dict[tuple[str, str], list[str]] = {}
    for result in every:
        for metric, reason in result.not_measured.items():
            where.setdefault((metric, reason), []).append(result.point)
    return "".join(
        f" {label(metric)} was not measured{'' if len(points) == len(every) else f' at {_some(points)}'}: {reason}"
        for (metric, reason), points in where.items()
    )


def _some(points: Sequence[str]) -> str:
    names = list(dict.fromkeys(points))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more points" if len(names) > 3 else "")


def _controls(section: Section) -> str:
    """Tells what was compared, and what it means that a number is struck through."""
    if not section.controls:
        return " No other controls were trained, so that what features add to positions, say, is not known."
    return (
        " A number is struck through where the interval of its difference from the mean predictor, from shuffled "
        "samples or from positions alone does not lie above zero: it says nothing of the features."
    )


def compared(value: ControlValue) -> str:
    """Returns a control's number with the difference from it, or the share of its copies that are as high.

    >>> compared(ControlValue(above=True, interval=Interval(0.25, 0.2, 0.3), difference=Interval(0.5, 0.4, 0.6)))
    '0.250 (0.200–0.300), +0.500 (0.400–0.600)'
    >>> compared(ControlValue(above=False, interval=Interval(0.0, -0.1, 0.1), p_value=1 / 21))
    '0.000 (-0.100–0.100), p = 0.048'
    """
    text = format_interval(value.interval)
    if value.difference:
        text += f", {'+' if value.difference.value >= 0 else ''}{format_interval(value.difference)}"
    return text if value.p_value is None else f"{text}, p = {value.p_value:.3f}"


def calibrated(state: CalibrationState) -> str:
    """Tells the state of an instrument's calibration in a few words.

    >>> calibrated(CalibrationState(calibrated="never", reason="never calibrated"))
    'not known to be fit (never calibrated)'
    """
    if state.calibrated == "fit":
        return "fit"
    return state.reason if state.calibrated == "unfit" else f"not known to be fit ({state.reason})"


def input_words(cache: Mapping[str, Any]) -> str:
    """Tells the size and the fit of the model's input, where a result says it.

    >>> input_words({"fingerprint": {"input": {"size": 448, "fit": "letterbox", "resize": "bicubic"}}}), input_words({})
    ('448 pixels, letterbox, resized by bicubic', 'not said by these results')
    """
    given = cache.get("fingerprint", {}).get("input") or {}
    size = given.get("size")
    words = [
        f"{size} pixels" if isinstance(size, int) else str(size or ""),
        str(given.get("fit") or ""),
        f"resized by {given['resize']}" if given.get("resize") else "",
        f"{given['blank_image']} in the place of each picture" if given.get("blank_image") else "",
    ]
    return ", ".join(word for word in words if word) or "not said by these results"


def run_templates() -> jinja2.Environment:
    """Returns the templates with what those of runs and of studies need beside that of `templates`."""
    environment = templates()
    environment.globals.update(PIXELS=PIXELS, MEAN_PREDICTOR=MEAN_PREDICTOR)
    environment.filters.update(certain=format_value, input_words=input_words, train_command=train_command)
    return environment


def templates() -> jinja2.Environment:
    """Returns the templates of this folder with the filters that they use."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(("html.jinja",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        **{
            "interval": format_interval,
            "label": label,
            "marked": marked,
            "direction": direction,
            "caption": caption,
            "cell": _cell,
        },
        **{"samples_noun": samples_noun, "compared": compared, "calibrated": calibrated},
    )
    return environment


def _cell(text: object) -> str:
    """Escapes text that would break a Markdown table."""
    return str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
