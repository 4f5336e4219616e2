"""Caches of drawn scenes and clips for the datasets of a study, by a tiny model with random weights."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foresight_cache.errors import ForesightError, UsageError
from foresight_cache.points import PIXELS, Point, resolve
from pipelines.progress_bar import progress, say

if TYPE_CHECKING:
    from foresight_cache.encoders import Encoder
    from foresight_probes.studies.study import Study, StudyDataset

MODEL = "tiny:qwen2_5_vl"
SIZE = 112
"""Input size: 8×8 patches, 4×4 tokens after the merger. Variants of other sizes are as much larger or smaller."""
DRAWN: Mapping[str, str] = {
    "coco2017": "shapes",
    "coco": "shapes",
    "ade20k": "labelled-shapes",
    "ssv2": "moving-shapes",
    "something-else": "moving-shapes",
    "haloquest": "scene-questions",
}
"""Datasets that are drawn in the place of others; one that is drawn anyway stands for itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Sizes of what is drawn."""

    images: int = 144
    """Images of each dataset."""
    clips: int = 64
    """Clips of each dataset."""
    questions: int = 480
    """Questions of each dataset of such, three about each image."""

    def samples(self, data: "StudyDataset") -> int:
        """Returns the number of samples of a dataset of images, of questions about images, or of clips."""
        if is_asked(data):
            return self.questions
        return self.clips if data.media == "clip" else self.images


DEMO = Scale()


def is_asked(data: "StudyDataset") -> bool:
    """Returns whether a dataset is of questions, each of which is in the prompt of its sample."""
    return data.prompt is not None


def drawn_dataset(study: "Study", name: str) -> str:
    """Returns the name of what is drawn for a dataset of a study. Raises `UsageError` where nothing is."""
    from foresight_cache.datasets import manifests

    dataset = study.datasets[name].dataset
    if dataset in DRAWN:
        return DRAWN[dataset]
    with suppress(ForesightError):
        if manifests.load(dataset).generator:
            return dataset
    known = ", ".join((*DRAWN, *(own for own in manifests.names() if manifests.load(own).generator)))
    raise UsageError(
        f"the study {study.name} is of {dataset!r} ({name}), for which the demo draws nothing; it draws for {known}: "
        "name one of these in the study file, or give a cache with --cache instead of --demo"
    )


def make_caches(study: "Study", out: Path, scale: Scale = DEMO) -> list[str]:
    """Draws, packs and extracts all datasets of a study; keeps what an earlier run has finished.

    Returns:
        Places of caches as `joining.join` takes them, `<the study's name of a dataset>=<folder>`.

    Raises:
        UsageError: The study is of a dataset for which nothing is drawn, or `out` holds something else.
    """
    from foresight_cache.encoders import LoadOptions, load

    chosen, places = {name: drawn_dataset(study, name) for name in study.datasets}, []
    prompts = {data.prompt for data in study.datasets.values()}
    encoders = {own: load(MODEL, LoadOptions() if own is None else LoadOptions(prompt=own)) for own in prompts}
    for number, (name, drawn) in enumerate(chosen.items(), start=1):
        data, shards, cache = study.datasets[name], out / "shards" / drawn, out / "caches" / name
        if data.model:
            say(f"{number}/{len(chosen)} {name} is left out: the demo has one model, and not {data.model}")
            continue
        encoder = encoders[data.prompt]
        samples, points = scale.samples(data), _points(study, name, encoder)
        say(f"{number}/{len(chosen)} {name}: {samples} {data.media}s of {drawn} -> {cache}")
        if data.merged > 1:
            _merge(out / "caches" / data.variant_of, data.merged, points, cache)
        else:
            _prepare(drawn, shards, samples)
            _extract(shards, data, _size(study, data), points, encoder, cache)
        places.append(f"{name}={cache}")
    return places


def _prepare(dataset: str, shards: Path, samples: int) -> None:
    from foresight_cache.preparation.options import PreparationOptions
    from foresight_cache.preparation.prepare_dataset import prepare
    from foresight_cache.preparation.selection import SampleSelection

    with progress("prepare", samples) as advance:
        prepare(dataset, shards, PreparationOptions(selection=SampleSelection(limit=samples)), advance)


def _points(study: "Study", dataset: str, encoder: "Encoder") -> tuple[Point, ...]:
    """Returns the points of the tiny model that a study asks of a dataset; the study's plan says what it lacks."""
    from foresight_probes.studies.planning import wanted_points

    taps = [tap.name for tap in encoder.taps]
    found = dict.fromkeys(point for text in wanted_points(study, dataset) for point in _known(text, taps))
    if not found:
        raise UsageError(
            f"{MODEL} has none of the points that {study.name} asks of {dataset}, so that there is no demo"
        )
    return tuple(found)


def _known(text: str, taps: list[str]) -> Iterator[Point]:
    from foresight_cache.points import members

    for member in members(text, taps):
        with suppress(ForesightError):
            yield from (point for point in resolve([member], taps) if point.tap != PIXELS)


def _size(study: "Study", data: "StudyDataset") -> str:
    """Returns the input size, which is to that of the demo as a variant's is to that of its dataset."""
    usual = study.datasets[data.variant_of].size if data.variant_of else data.size
    are_numbers = data.size.isdecimal() and usual.isdecimal()
    return str(round(SIZE * int(data.size) / int(usual))) if are_numbers else str(SIZE)


def _merge(base: Path, cells: int, points: tuple[Point, ...], cache: Path) -> None:
    from foresight_cache import open_cache
    from foresight_cache.rewriting.token_merging import merge_tokens

    source = open_cache(base)
    with progress("merge-tokens", len(source)) as advance:
        merge_tokens(source, cells, str(cache), [str(point) for point in points], advance=advance)


def _extract(
    shards: Path, data: "StudyDataset", size: str, points: tuple[Point, ...], encoder: "Encoder", cache: Path
) -> None:
    from foresight_cache.extraction.cache_plan import CachePlan
    from foresight_cache.extraction.extraction_loop import extract
    from foresight_cache.extraction.input_size import InputSize
    from foresight_cache.extraction.input_spec import InputSpec, Reverse
    from foresight_cache.extraction.options import ExtractionOptions
    from foresight_cache.media.blank import BlankImage
    from foresight_cache.media.frame_sampling import Sampling
    from foresight_cache.shards import open_shards

    reverse: Reverse = "half" if data.reverse == "half" else "none"
    blank: BlankImage = "grey" if data.blank == "grey" else "noise" if data.blank == "noise" else "none"
    sampling = Sampling(frames=data.frames or 1)
    inputs = InputSpec(size=InputSize.parse(size), sampling=sampling, reverse=reverse, blank_image=blank)
    options, shard_set = ExtractionOptions(points=points, inputs=inputs), open_shards(shards)
    missing = CachePlan(shard_set, encoder, options, str(cache)).samples_missing
    with progress("extract", missing) as advance:
        extract(shard_set, encoder, options, cache, advance)
