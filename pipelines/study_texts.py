"""Studies and their plans as text or as JSON."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foresight_probes.studies.planning import StudyPlan
    from foresight_probes.studies.study import Study


def print_plan(plan: "StudyPlan", *, json_output: bool) -> None:
    """Prints what would be trained and looked up, and what is missing."""
    from foresight_probes.studies.estimates import estimates
    from foresight_probes.studies.planned_words import WORDS
    from pipelines.output import print_json
    from pipelines.study_costs import assumptions, extraction_estimates
    from pipelines.tables import text_table

    rows, missing = estimates(plan), extraction_estimates(plan)
    looks = [
        {
            **{"words": name, "samples": len(own.run.numbers), "points": own.run.points},
            "kept": own.is_kept(plan.out / WORDS / name),
        }
        for name, own in plan.words.items()
    ]
    if json_output:
        runs, extractions = ([row.to_json() for row in each] for each in (rows, missing))
        print_json({"runs": runs, "words": looks, "extractions": extractions})
        return
    if rows or not looks:
        print(*text_table(rows[0].COLUMNS if rows else ("runs",), [row.cells() for row in rows]), sep="\n")
    for name, own in plan.words.items():
        state = "kept" if own.is_kept(plan.out / WORDS / name) else "to be looked up"
        print(f"{name}: words of {len(own.run.numbers):,} samples at {', '.join(own.run.points)}, {state}")
    if missing:
        print("", *text_table(missing[0].COLUMNS, [row.cells() for row in missing]), sep="\n")
        reasons = dict.fromkeys(f"not known of {row.dataset}: {row.why}" for row in missing if row.why)
        print(*reasons, assumptions(), sep="\n")


def print_studies(*, json_output: bool) -> None:
    """Prints the studies that are there."""
    from pipelines import studies
    from pipelines.output import print_json

    loaded = [studies.load(name) for name in studies.names()]
    if json_output:
        print_json([{"name": own.name, "version": own.version, "title": own.title} for own in loaded])
        return
    for own in loaded:
        print(f"{own.name:10} version {own.version}  {own.title}")


def print_study(name: str, *, json_output: bool) -> None:
    """Prints a study with its thresholds."""
    from pipelines import studies
    from pipelines.output import print_json

    study = studies.load(name)
    print_json(_study_json(study)) if json_output else print("\n".join(_described(study)))


def _study_json(study: "Study") -> dict[str, Any]:
    return {
        **{"name": study.name, "version": study.version, "digest": study.digest, "title": study.title},
        "datasets": {own: data.dataset for own, data in study.datasets.items()},
        "runs": {own: {"tasks": group.tasks, "points": group.points} for own, group in study.runs.items()},
        "words": {own: {"lenses": group.lenses, "points": group.points} for own, group in study.words.items()},
        "claims": {f"{own}.{level}": str(threshold) for own, level, threshold in study.claims()},
        "decision": {branch.name: str(branch.when or "otherwise") for branch in study.decision},
        "not_measured": dict(study.not_measured),
    }


def _described(study: "Study") -> list[str]:
    lines = [f"{study.name}, version {study.version}: {study.title}", "", study.question, "", "datasets"]
    for name, data in study.datasets.items():
        lines.append(f"  {name:10} {data.samples:,} {data.media}s of {data.dataset} ({data.split}) at {data.size}")
    lines += ["", "runs"]
    for name, group in study.runs.items():
        heads = f" by {', '.join(group.heads)}" if group.heads else ""
        lines.append(f"  {name:10} {', '.join(group.tasks)}{heads} at {', '.join(group.points)} of {group.dataset}")
    if study.words:
        lines += ["", "words"]
    for name, words in study.words.items():
        looked = f"by the lenses {', '.join(words.lenses)} at {', '.join(words.points)} of {words.dataset}"
        lines.append(f"  {name:10} the nearest {words.top} {looked}")
    lines += ["", "criteria"]
    for name, criterion in study.criteria.items():
        levels = ", ".join(f"{level} {threshold}" for level, threshold in criterion.levels.items())
        lines.append(f"  {name:18} {criterion.title}: {levels}")
    lines += ["", "decision"]
    lines += [f"  {branch.name:15} {branch.when or 'otherwise'}: {branch.means}" for branch in study.decision]
    return [*lines, "", f"foresight study {study.name} --cache CACHE --out DIR"]
