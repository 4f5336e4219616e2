"""Texts of a study file that name points: taps, patterns, aliases and sets."""

from collections.abc import Collection

from foresight_cache.points import PIXELS, SHORT_NAMES, Point, is_numbered
from foresight_probes.features.sources import POINT_SEPARATOR
from foresight_probes.studies.located import Located, nearest
from foresight_probes.studies.named_points import single_points


def parse_points(node: Located, more: Collection[str] = ()) -> tuple[str, ...]:
    """Returns a list of texts for points; `more` are other words that may stand for one."""
    points = tuple(parse_point(item, more) for item in node.items())
    if not points:
        node.expected("points")
    return points


def parse_point(node: Located, more: Collection[str] = ()) -> str:
    """Returns a text that may name a point: a tap, which has a dot in it, a pattern, an alias, a set.

    Several that a head takes at once stand with a `+` between them.
    """
    text = node.text()
    if text in more:
        return text
    parts = single_points(text)
    for part in parts:
        _require_point(node, part, more)
        if len(parts) > 1 and set(part) & set("*?["):
            node.fail(f"{text!r} joins the pattern {part!r}, expected single points, as in E4+E5")
    return POINT_SEPARATOR.join(parts)


def _require_point(node: Located, text: str, more: Collection[str]) -> None:
    tap = node.made(lambda: Point.parse(text)).tap
    if tap not in (*SHORT_NAMES, PIXELS) and not is_numbered(tap) and not set(tap) & set(".*?"):
        known = (*SHORT_NAMES, PIXELS, *more)
        node.fail(f"unknown point {text!r}{nearest(text, known)}; known: taps, patterns, {', '.join(known)}")
