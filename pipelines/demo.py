"""The whole way from synthetic scenes to a report, through the same functions as the single commands."""

from pathlib import Path

from foresight_cache import open_cache
from pipelines.progress_bar import progress, say

SCENES = 192
SIZE = "224"
MODEL = "tiny:qwen2_5_vl"
POINTS = "E1,E2,E3,E4,E5,E6,E7,E8"


def run_demo(out: Path) -> None:
    """Each step keeps what an earlier run has finished."""
    say(f"1/4 {SCENES} synthetic scenes -> {out / 'shards'}")
    _prepare(out / "shards")
    say(f"2/4 {MODEL}, points {POINTS} -> {out / 'cache'}")
    _extract(out / "shards", out / "cache")
    say(f"3/4 box probes at every point -> {out / 'runs'}")
    _train(out / "cache", out / "runs")
    say(f"4/4 report -> {out / 'report'}")
    from foresight_probes.report import write_report

    print(f"The report is at {write_report(out / 'runs', out / 'report').resolve()}")


def _prepare(shards: Path) -> None:
    from foresight_cache.preparation.options import PreparationOptions
    from foresight_cache.preparation.prepare_dataset import prepare
    from foresight_cache.preparation.selection import SampleSelection

    options = PreparationOptions(selection=SampleSelection(limit=SCENES))
    with progress("prepare", SCENES) as advance:
        prepare("shapes", shards, options, advance)


def _extract(shards: Path, cache: Path) -> None:
    from foresight_cache.encoders import LoadOptions, load
    from foresight_cache.extraction.extraction_loop import extract
    from foresight_cache.extraction.input_size import InputSize
    from foresight_cache.extraction.input_spec import InputSpec
    from foresight_cache.extraction.options import ExtractionOptions
    from foresight_cache.points import resolve
    from foresight_cache.shards import open_shards

    encoder = load(MODEL, LoadOptions())
    points = resolve(POINTS.split(","), [tap.name for tap in encoder.taps])
    options = ExtractionOptions(points=points, inputs=InputSpec(size=InputSize.parse(SIZE)))
    with progress("extract", SCENES) as advance:
        extract(open_shards(shards), encoder, options, cache, advance)


def _train(cache: Path, runs: Path) -> None:
    from foresight_probes.options import TrainingOptions
    from foresight_probes.sweeps.run import train

    opened = open_cache(cache)
    with progress("train-probe", None, "runs") as advance:
        train(
            opened,
            tasks=["boxes"],
            points=opened.points,
            heads=None,
            seeds=[0],
            out=runs,
            options=TrainingOptions(),
            advance=advance,
        )
