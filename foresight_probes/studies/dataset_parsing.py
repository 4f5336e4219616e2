"""The datasets of a study file taken apart, each with its variants."""

import dataclasses
from collections.abc import Mapping

from foresight_cache.samples import is_safe_name
from foresight_probes.studies.located import Located
from foresight_probes.studies.study import StudyDataset
from foresight_probes.studies.variants import variant_name


def parse_datasets(node: Located) -> dict[str, StudyDataset]:
    """Returns datasets by name, each followed by its variants."""
    datasets: dict[str, StudyDataset] = {}
    for name, inner in safe_names(node).items():
        needed = ("dataset", "split", "samples", "media")
        fields = inner.fields((*needed, "size", "frames", "reverse", "prompt", "drawn", "variants"), needed)
        datasets[name] = _dataset(fields)
        for own, variant in safe_names(fields["variants"]).items() if "variants" in fields else ():
            if (whole := variant_name(name, own)) in datasets:
                variant.fail(f"{whole!r} is the name of another dataset too; call the variant otherwise")
            datasets[whole] = _variant(variant, name, datasets[name])
    return datasets


def _dataset(fields: Mapping[str, Located]) -> StudyDataset:
    return StudyDataset(
        dataset=fields["dataset"].text(),
        split=fields["split"].text(),
        samples=fields["samples"].whole(1),
        media=fields["media"].choice("kind of sample", ("image", "clip")),
        size=str(fields["size"].value) if "size" in fields else "448",
        frames=fields["frames"].whole(1) if "frames" in fields else None,
        reverse=fields["reverse"].choice("choice of clips to reverse", ("none", "half"))
        if "reverse" in fields
        else "none",
        prompt=_prompt(fields["prompt"]) if "prompt" in fields else None,
        drawn=fields["drawn"].flag() if "drawn" in fields else False,
    )


def _variant(node: Located, name: str, base: StudyDataset) -> StudyDataset:
    fields = node.fields(("size", "model", "merged", "prompt", "blank"))
    if not fields:
        node.expected("what differs: size, model, merged, prompt or blank")
    return dataclasses.replace(
        base,
        size=str(fields["size"].value) if "size" in fields else base.size,
        model=fields["model"].text() if "model" in fields else "",
        merged=fields["merged"].whole(2) if "merged" in fields else 1,
        prompt=_prompt(fields["prompt"]) if "prompt" in fields else base.prompt,
        blank=fields["blank"].choice("image", ("grey", "noise")) if "blank" in fields else "none",
        variant_of=name,
    )


def _prompt(node: Located) -> str:
    """Returns a prompt, which may be empty."""
    return "" if node.value == "" else node.text()


def chosen_variants(node: Located, dataset: str, datasets: Mapping[str, StudyDataset]) -> tuple[str, ...]:
    """Returns the names of some of a dataset's variants."""
    known = [
        name.removeprefix(variant_name(dataset, "")) for name, own in datasets.items() if own.variant_of == dataset
    ]
    for item in node.items():
        if str(item.value) not in known:
            item.fail(f"{dataset} has no variant {str(item.value)!r}; its variants: {', '.join(known) or 'none'}")
    return tuple(str(item.value) for item in node.items())


def safe_names(node: Located) -> dict[str, Located]:
    """Returns a mapping whose keys are names of folders."""
    named = node.named()
    for name, inner in named.items():
        if not is_safe_name(name):
            inner.fail(f"{name!r} is no name of letters, digits, '.', '_' and '-'")
    return named
