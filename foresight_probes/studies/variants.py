"""Variants: the same samples shown in another way, such as at another size, with runs and measures of their own."""

from collections.abc import Mapping
from dataclasses import replace

from foresight_probes.studies.study import Measure, RunGroup

OF_RUNS = "@"
"""What stands between a group of runs, or a measure, and the variant that it is on."""


def variant_name(dataset: str, variant: str) -> str:
    """Returns the name of a variant among the datasets of a study.

    >>> variant_name("images", "224")
    'images.224'
    """
    return f"{dataset}.{variant}"


def on_variant(name: str, variant: str) -> str:
    """Returns the name of a group of runs, or of a measure, on a variant; of the dataset itself, `""`, its own.

    >>> on_variant("linear", "224"), on_variant("linear", "")
    ('linear@224', 'linear')
    """
    return f"{name}{OF_RUNS}{variant}" if variant else name


def groups_on_variants(runs: Mapping[str, RunGroup]) -> dict[str, RunGroup]:
    """Returns groups of runs, each followed by the same runs on each of its variants."""
    every: dict[str, RunGroup] = {}
    for name, group in runs.items():
        every[name] = group
        for variant in group.variants:
            dataset = variant_name(group.dataset, variant)
            every[on_variant(name, variant)] = replace(group, dataset=dataset, variants=())
    return every


def measures_on_variants(measures: Mapping[str, Measure], runs: Mapping[str, RunGroup]) -> dict[str, Measure]:
    """Returns measures, each followed by the same on the variants of its runs: `lpips@224` beside `lpips`."""
    every: dict[str, Measure] = {}
    for name, own in measures.items():
        every[name] = own
        for variant in runs[own.runs].variants if own.runs else ():
            title, group = f"{own.title} ({variant})", on_variant(own.runs, variant)
            every[on_variant(name, variant)] = replace(own, title=title, runs=group)
    return every
