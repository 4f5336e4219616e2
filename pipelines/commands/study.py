import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foresight_cache.errors import UsageError
from pipelines.commands.options import Json
from pipelines.completion import complete_studies
from pipelines.study_exports import Exports
from pipelines.study_texts import print_plan, print_studies, print_study

MOST_PROCESSES = 4
"""Processes of a demo, unless a number is given."""
BYTES_EACH = 10 * 2**30
"""Memory that each may need, for its decoders."""

if TYPE_CHECKING:
    from foresight_probes.studies.study import Study
    from foresight_probes.studies.verdict import Verdict

Name = Annotated[
    str,
    typer.Argument(
        help="Name of a study or path of a study file; or 'list', or 'show' with one behind it.",
        metavar="NAME",
        autocompletion=complete_studies,
    ),
]
Shown = Annotated[
    str | None,
    typer.Argument(
        help="Study that 'show' shows.", metavar="[SHOWN]", show_default="none", autocompletion=complete_studies
    ),
]
Caches = Annotated[
    list[str] | None,
    typer.Option(
        "--cache",
        help="Folder, zip file or URL of a cache, or NAME=CACHE with the study's name of a dataset or of a variant, as "
        "in images.224=CACHE; may be repeated.",
        show_default="none: must be given",
    ),
]
SharedSamples = Annotated[
    bool,
    typer.Option(
        "--shared-samples",
        help="Where caches of one dataset have other samples, use those that all of them have.",
        show_default="off: they must have the same",
    ),
]
Twins = Annotated[
    list[str] | None,
    typer.Option(
        "--twin",
        help="Cache of the same samples from the same architecture with random weights (extract --model random:MODEL), "
        "or NAME=CACHE; may be repeated.",
        show_default="none",
    ),
]
Answers = Annotated[
    list[str] | None,
    typer.Option(
        "--answers",
        help="File of judged answers of the model ('foresight judge'), for studies of its answers, or NAME=FILE with "
        "the study's name of a dataset; may be repeated.",
        show_default="none: what the caches say",
    ),
]
Indices = Annotated[
    list[str] | None,
    typer.Option(
        "--index",
        help="Index of words ('foresight lens index'), for studies of what tokens mean in words, or NAME=INDEX with "
        "the study's name of a dataset; may be repeated.",
        show_default="none",
    ),
]
ExportJudge = Annotated[
    Path | None,
    typer.Option(
        "--export-judge",
        help="Folder for what an outside judge is to say of words: marked pictures, a list of items, and its key.",
        show_default="none",
    ),
]
ImportJudge = Annotated[
    Path | None,
    typer.Option(
        "--import-judge",
        help="File of the judge's verdicts: JSON lines with 'id' and 'interpretable'.",
        show_default="none",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the runs and the report.", show_default="none: must be given, but with --dry-run"),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be trained, and what is missing.", show_default="off")
]
Demo = Annotated[
    bool,
    typer.Option(
        "--demo",
        help="Draw data, extract it with a tiny model, and carry the study out with fewer and cheaper runs.",
        show_default="off",
    ),
]
Raters = Annotated[
    Path | None,
    typer.Option(
        help="Folder for what people would have to judge: pictures in shuffled order, a table to fill in, and its key.",
        show_default="none",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        help="Parts that are each tested once by heads of the others, for few samples.",
        show_default="those of the study: one test split",
    ),
]
Lpips = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the network's weights of the metric LPIPS.", show_default="torch's cache of downloads"
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Device to train on: auto, cpu, cuda, mps.", show_default="that of the study: auto"),
]
Devices = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of processes that share out the points, each with a GPU of its own where there are GPUs.",
        show_default="1; of a demo up to 4, one for each core",
    ),
]


def run(
    name: Name,
    shown: Shown = None,
    cache: Caches = None,
    shared_samples: SharedSamples = False,
    twin: Twins = None,
    answers: Answers = None,
    index: Indices = None,
    export_judge: ExportJudge = None,
    import_judge: ImportJudge = None,
    out: Out = None,
    dry_run: DryRun = False,
    demo: Demo = False,
    raters: Raters = None,
    folds: Folds = None,
    lpips_weights: Lpips = None,
    device: Device = None,
    devices: Devices = None,
    json_output: Json = False,
) -> None:
    """Carry out a study from caches: train what is missing, decide its criteria, and write a report with the verdict.

    'list' lists the studies and 'show NAME' shows one with its thresholds. What is finished is kept, so that the same
    command goes on where it was interrupted, and a finished study is only reported again.

    With --demo nothing is needed: it draws data and extracts it, and its numbers are no findings.

    Example: foresight study q2 --cache caches/coco --cache caches/ssv2 --out studies/q2
    """
    if name in ("list", "show"):
        if cache or out or dry_run or demo or (name == "show") != (shown is not None):
            behind = "the name of a study" if name == "show" else "nothing"
            raise UsageError(f"'study {name}' takes {behind} behind it, and no options but --json")
        print_studies(json_output=json_output) if name == "list" else print_study(str(shown), json_output=json_output)
        return
    if shown is not None:
        raise UsageError(f"{shown!r} stands behind the study {name!r}; give one study, and caches with --cache")
    given = {"--cache": cache, "--dry-run": dry_run, "--twin": twin, "--answers": answers, "--index": index}
    if demo and any(given.values()):
        other = next(option for option, value in given.items() if value)
        raise UsageError(
            f"--demo makes caches of its own, so that {other} does not go with it; leave out one of the two"
        )
    words: dict[str, Any] = {"folds": folds, "lpips_weights": lpips_weights, "device": device}
    words |= {"shared_samples": shared_samples, "twins": tuple(twin or ()), "answers": tuple(answers or ())}
    words |= {"indices": tuple(index or ()), "verdicts": import_judge}
    processes = devices or _processes(demo=demo)
    exports = Exports(raters=raters, judge=export_judge, verdicts=import_judge)
    _carry_out(name, cache, out, words, processes, exports, dry_run=dry_run, demo=demo, json_output=json_output)


def _carry_out(
    name: str,
    places: list[str] | None,
    out: Path | None,
    words: dict[str, Any],
    processes: int,
    exports: Exports,
    *,
    dry_run: bool,
    demo: bool,
    json_output: bool,
) -> None:
    from datetime import date

    from foresight_probes.report.study import verdict_json, write_study
    from foresight_probes.studies.joining import join
    from foresight_probes.studies.planning import Settings, plan_study
    from foresight_probes.studies.running import carry_out
    from pipelines import studies
    from pipelines.output import print_json
    from pipelines.progress_bar import progress, say
    from pipelines.study_costs import operations_of
    from pipelines.study_demo.demo import plan_demo

    study = studies.load(name)
    if out is None and not dry_run:
        raise UsageError("no folder was named; give one for the runs and the report, for example --out studies/mine")
    _require_data(study, places, demo=demo)
    exports.require(study, dry_run=dry_run)
    settings = Settings(**words)
    if demo and out is not None:
        plan = plan_demo(study, out, settings)
    else:
        joined = join(study, places or (), shared=settings.shared_samples, answers=settings.answers)
        plan = plan_study(study, joined, out or Path(study.name), settings)
    for remark in plan.remarks:
        say(remark)
    if dry_run:
        print_plan(plan, json_output=json_output)
        return
    with progress("study", None) as advance:  # samples cost differently by head, so that they tell no time that is left
        operations = {own: operations_of(cache) for own, cache in plan.joined.caches.items()}
        carried = carry_out(plan, operations=operations, advance=advance, say=say, processes=processes)
    page = write_study(
        carried, plan.out, command=_command(name, places, plan.out, settings, demo=demo), written=date.today()
    )
    exports.write(carried.findings.evidence, say)
    if json_output:
        print_json({**verdict_json(carried), "report": page, "trained": carried.trained})
    else:
        _print_verdict(carried.findings.verdict, page)
    if carried.failed:
        raise typer.Exit(1)


def _processes(*, demo: bool) -> int:
    """Returns how many processes train unless a number is given."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, MOST_PROCESSES, memory // BYTES_EACH)) if demo else 1


def _require_data(study: "Study", places: list[str] | None, *, demo: bool) -> None:
    if not places and not demo:
        wanted = ", ".join(f"{own} ({data.dataset}, {data.split})" for own, data in study.own_datasets().items())
        raise UsageError(
            f"no cache was named; {study.name} is of {wanted}; give what there is with --cache, or let --demo draw some"
        )


def _print_verdict(verdict: "Verdict", page: Path) -> None:
    print(verdict.sentence + (f"; {verdict.needs}" if verdict.needs else ""))
    for claim in verdict.deciding:
        print(f"  {claim.title} {claim.threshold} is {claim.status}: {claim.why}")
    print(page)


def _command(name: str, places: list[str] | None, out: Path, settings: Any, *, demo: bool) -> str:
    import shlex

    words = ["foresight", "study", name, *(word for place in places or () for word in ("--cache", place))]
    words += ["--demo"] if demo else []
    words += ["--out", str(out)]
    words += ["--shared-samples"] if settings.shared_samples else []
    words += [word for place in settings.twins for word in ("--twin", place)]
    words += [word for place in settings.answers for word in ("--answers", place)]
    words += [word for place in settings.indices for word in ("--index", place)]
    words += ["--import-judge", str(settings.verdicts)] if settings.verdicts else []
    words += ["--folds", str(settings.folds)] if settings.folds else []
    words += ["--lpips-weights", str(settings.lpips_weights)] if settings.lpips_weights else []
    return shlex.join(words)
