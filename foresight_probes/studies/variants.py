"""Variants: the same samples shown in another way, such as at another size, with runs and measures of their own.

Portions are as variants: the same runs by a half, a quarter and so on of the samples that train and select.
"""

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


def portion_name(halved: int) -> str:
    """Returns what stands in the place of a variant for samples that are halved so often.

    >>> portion_name(3)
    '1-of-8'
    """
    return f"1-of-{2**halved}"


def groups_on_variants(runs: Mapping[str, RunGroup]) -> dict[str, RunGroup]:
    """Returns groups of runs, each followed by the same runs on each of its variants and portions."""
    every: dict[str, RunGroup] = {}
    for name, group in runs.items():
        every[name] = group
        for variant in group.variants:
            dataset = variant_name(group.dataset, variant)
            every[on_variant(name, variant)] = replace(group, dataset=dataset, variants=(), halvings=0)
        for halved in range(1, group.halvings + 1):
            every[on_variant(name, portion_name(halved))] = replace(group, variants=(), halvings=0, halved=halved)
    return every


def measures_on_variants(measures: Mapping[str, Measure], runs: Mapping[str, RunGroup]) -> dict[str, Measure]:
    """Returns measures, each followed by the same on the variants and portions of its runs: `lpips@224` too."""
    every: dict[str, Measure] = {}
    for name, own in measures.items():
        every[name] = own
        for variant in _others(runs[own.runs]) if own.runs else ():
            title, group = f"{own.title} ({variant})", on_variant(own.runs, variant)
            every[on_variant(name, variant)] = replace(own, title=title, runs=group)
    return every


def _others(group: RunGroup) -> tuple[str, ...]:
    return (*group.variants, *(portion_name(halved) for halved in range(1, group.halvings + 1)))
