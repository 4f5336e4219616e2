"""Names that a shell offers when Tab is pressed; none of it loads torch."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import typer

from foresight_cache.errors import ForesightError


def complete_datasets(incomplete: str) -> list[str]:
    """Returns the datasets that begin so."""
    from foresight_cache.datasets import manifests

    return _begin(manifests.names(), incomplete)


def complete_parts(incomplete: str) -> list[str]:
    """Returns the benchmarks that begin so."""
    from pipelines import bench

    return _begin(bench.names(), incomplete)


def complete_studies(incomplete: str) -> list[str]:
    """Returns the studies that begin so, and the words that show them."""
    from pipelines import studies

    return _begin(["list", "show", *studies.names()], incomplete)


def complete_engines(incomplete: str) -> list[str]:
    """Returns the engines that begin so."""
    from pipelines.launchers import ENGINES

    return _begin(ENGINES, incomplete)


def complete_task(incomplete: str) -> list[str]:
    """Returns the tasks that begin so."""
    from foresight_probes import tasks

    return _begin(tasks.names(), incomplete)


def complete_head(incomplete: str) -> list[str]:
    """Returns the heads that begin so."""
    from foresight_probes import heads

    return _begin(heads.names(), incomplete)


def complete_tasks(incomplete: str) -> list[str]:
    """Returns lists of tasks that go on with a last one."""
    from foresight_probes import tasks

    return _go_on(tasks.names(), incomplete)


def complete_heads(incomplete: str) -> list[str]:
    """Returns lists of heads, and of names for several, that go on with a last one."""
    from foresight_probes import heads

    return _go_on([*heads.names(), *heads.ALIASES], incomplete)


def complete_adapters(incomplete: str) -> list[str]:
    """Returns lists of adapters that go on with a last one."""
    from foresight_probes.adapters import networks

    return _go_on(networks.names(), incomplete)


def complete_points(incomplete: str) -> list[str]:
    """Returns lists of points that go on with an alias, a set, or what stands before a paper's number of a layer."""
    from foresight_cache.points import NUMBERINGS, SHORT_NAMES

    return _go_on([*SHORT_NAMES, *NUMBERINGS], incomplete)


def complete_cached_points(context: typer.Context, incomplete: str) -> list[str]:
    """Returns lists of points that go on with one of the cache that the command line names, or with an alias."""
    from foresight_cache import open_cache
    from foresight_cache.points import NUMBERINGS, SHORT_NAMES, numbered_layers

    names = [*SHORT_NAMES, *NUMBERINGS]
    # A line that ends in an option without its value is not taken apart: its words are in `args`.
    for word in (context.params.get("cache"), *context.args):
        if word and Path(word).exists():
            with suppress(ForesightError, OSError):
                cache = open_cache(word)
                numbers = numbered_layers(cache.fingerprint["model"].get("taps", ()))
                names = [*cache.points, *SHORT_NAMES, *numbers]
                break
    return _go_on(names, incomplete)


def complete_columns(incomplete: str) -> list[str]:
    """Returns lists of columns that every table of runs has, going on with a last one; -value is in falling order."""
    from foresight_probes.results.tables import DEFAULT

    return _go_on(DEFAULT, incomplete)


def complete_rules(incomplete: str) -> list[str]:
    """Returns the names of rules for answers."""
    from foresight_cache.answers.judging.rules import BENCHMARKS

    return _begin(BENCHMARKS, incomplete)


def complete_loggers(incomplete: str) -> list[str]:
    """Returns lists of loggers that go on with a last one."""
    return _go_on(("csv", "tensorboard", "wandb", "none"), incomplete)


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _go_on(names: Iterable[str], incomplete: str) -> list[str]:
    """Returns the list as it stands with each name that its last element begins and that is not in it.

    >>> _go_on(["boxes", "counting", "position"], "boxes,co"), _go_on(["boxes", "edges"], "boxes,")
    (['boxes,counting'], ['boxes,edges'])
    """
    before, comma, last = incomplete.rpartition(",")
    there = before.split(",")
    return [f"{before}{comma}{name}" for name in _begin(names, last) if name not in there]
