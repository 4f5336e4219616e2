"""Study files taken apart: every key known, every name one that exists, every mistake with its line."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from foresight_cache.records import digest
from foresight_cache.samples import is_safe_name
from foresight_probes import heads, tasks
from foresight_probes.options import TrainingOptions
from foresight_probes.studies import derived_metrics
from foresight_probes.studies.conditions import Condition, parse_condition
from foresight_probes.studies.dataset_parsing import chosen_variants, parse_datasets, safe_names
from foresight_probes.studies.located import Located, nearest
from foresight_probes.studies.point_texts import parse_point, parse_points
from foresight_probes.studies.section_requests import parse_section
from foresight_probes.studies.study import (
    RECOMMENDED,
    Branch,
    Criterion,
    Curve,
    Failure,
    Measure,
    Raters,
    Recommendation,
    RunGroup,
    Score,
    Study,
    StudyDataset,
    Term,
    WordGroup,
)
from foresight_probes.studies.thresholds import Threshold
from foresight_probes.studies.variants import groups_on_variants, measures_on_variants
from foresight_probes.studies.word_parsing import parse_word_measure, parse_words

KEYS = (
    *("name", "version", "title", "question", "model", "datasets", "runs", "words", "measures", "scores", "criteria"),
    *("decision", "failures", "curves", "sections", "recommendation", "raters", "expected", "not_measured"),
)
_NEEDED = ("name", "version", "title", "question", "model", "datasets", "measures", "criteria", "decision")
_RESERVED = ("list", "show")
"""Words that the command takes in the place of a study."""
_OTHERWISE = "otherwise"
_RATED = 30
"""Samples that people judge unless a number is given."""


def parse_study(text: str, source: str) -> Study:
    """Returns the study of a YAML text. Raises `ManifestError` with the name of the `source` and the line."""
    top = Located.of_text(text, source)
    fields = top.fields(KEYS, _NEEDED)
    datasets = parse_datasets(fields["datasets"])
    if "runs" not in fields and "words" not in fields:
        top.fail("neither 'runs' nor 'words' is in the file; a study needs what its measures are of")
    own_runs = safe_names(fields["runs"]) if "runs" in fields else {}
    runs = groups_on_variants({name: _group(node, datasets) for name, node in own_runs.items()})
    words = parse_words(fields["words"], datasets) if "words" in fields else {}
    measures = measures_on_variants(
        {name: _measure(node, runs, words) for name, node in fields["measures"].named().items()}, runs
    )
    scores = {name: _score(node, measures) for name, node in _optional(fields, "scores").items()}
    measured: dict[str, Measure | Score] = {**measures, **scores}
    criteria = {name: _criterion(node, measured) for name, node in fields["criteria"].named().items()}
    claims = frozenset(f"{name}.{level}" for name, own in criteria.items() for level in own.levels)
    return Study(
        name=_name(fields["name"]),
        version=fields["version"].whole(1),
        digest=digest(_with_text_keys(top.value)),
        title=fields["title"].text(),
        question=fields["question"].text(),
        model=fields["model"].text(),
        datasets=datasets,
        runs=runs,
        words=words,
        measures=measures,
        scores=scores,
        criteria=criteria,
        decision=_decision(fields["decision"], claims),
        failures=tuple(_failure(node, claims) for node in _listed(fields, "failures")),
        curves={name: _curve(node, measured) for name, node in _optional(fields, "curves").items()},
        sections={
            name: parse_section(node, datasets, runs, measured, words)
            for name, node in _optional(fields, "sections").items()
        },
        recommendation=_recommendation(fields["recommendation"], measures) if "recommendation" in fields else None,
        raters=_raters(fields["raters"], measures) if "raters" in fields else None,
        expected={name: _expected(node, name, measured) for name, node in _optional(fields, "expected").items()},
        not_measured={name: node.text() for name, node in _optional(fields, "not_measured").items()},
    )


def _with_text_keys(value: Any) -> Any:
    """Returns a value of YAML whose keys are texts, as the name 224 of a variant may not be."""
    if isinstance(value, dict):
        return {str(name): _with_text_keys(inner) for name, inner in value.items()}
    return [_with_text_keys(inner) for inner in value] if isinstance(value, list) else value


def _optional(fields: Mapping[str, Located], name: str) -> dict[str, Located]:
    return fields[name].named() if name in fields else {}


def _listed(fields: Mapping[str, Located], name: str) -> list[Located]:
    return fields[name].items() if name in fields else []


def _name(node: Located) -> str:
    name = node.text()
    if not is_safe_name(name) or name in _RESERVED:
        node.expected(f"a name of letters, digits, '.', '_' and '-', other than {' and '.join(_RESERVED)}")
    return name


def _group(node: Located, datasets: Mapping[str, StudyDataset]) -> RunGroup:
    needed = ("dataset", "tasks", "points")
    fields = node.fields((*needed, "heads", "seeds", "controls", "options", "variants", "halvings"), needed)
    dataset = fields["dataset"].choice("dataset of this study", datasets)
    return RunGroup(
        dataset=dataset,
        tasks=fields["tasks"].choices("task", tasks.names()),
        points=parse_points(fields["points"]),
        heads=fields["heads"].choices("head", (*heads.names(), *heads.ALIASES)) if "heads" in fields else None,
        seeds=tuple(item.whole(0) for item in fields["seeds"].items()) if "seeds" in fields else (0,),
        controls=fields["controls"].flag() if "controls" in fields else True,
        options=_options(fields["options"]) if "options" in fields else TrainingOptions(),
        variants=chosen_variants(fields["variants"], dataset, datasets) if "variants" in fields else (),
        halvings=fields["halvings"].whole(1) if "halvings" in fields else 0,
    )


def _options(node: Located) -> TrainingOptions:
    known = [field.name for field in dataclasses.fields(TrainingOptions)]
    values = {name: inner.value for name, inner in node.fields(known).items()}
    return node.made(lambda: TrainingOptions(**values))


def _measure(node: Located, runs: Mapping[str, RunGroup], words: Mapping[str, WordGroup]) -> Measure:
    kinds = ("runs", "task", "metric", "heads", "bytes", "diverged", "words", "lens")
    fields = node.fields(("title", *kinds), ("title",))
    title = fields["title"].text()
    if "words" in fields:
        return parse_word_measure(node, words)
    if "bytes" in fields:
        if len(fields) > 2 or not fields["bytes"].flag():
            node.fail(f"{node.name} counts bytes, which are of no run; expected 'title' and 'bytes: true' alone")
        return Measure(title=title)
    if "diverged" in fields:
        if fields.keys() != {"title", "runs", "diverged"} or not fields["diverged"].flag():
            node.fail(f"{node.name} counts runs that diverge; expected 'title', 'runs' and 'diverged: true' alone")
        return Measure(title=title, runs=fields["runs"].choice("group of runs", runs), diverged=True)
    fields = node.fields(("title", "runs", "task", "metric", "heads"), ("runs", "task", "metric"))
    group = runs[fields["runs"].choice("group of runs", runs)]
    task = fields["task"].choice("task of these runs", group.tasks)
    known = (*node.made(lambda: tasks.load(task)).metric_names, *derived_metrics.names(task))
    chosen = fields["heads"].choices("head", heads.names()) if "heads" in fields else None
    for head in chosen or ():
        if group.heads is not None and head not in heads.resolve(group.heads):
            fields["heads"].fail(f"the runs {fields['runs'].value!r} have no head {head!r}")
    return Measure(
        title=title,
        runs=str(fields["runs"].value),
        task=task,
        metric=fields["metric"].choice(f"metric of the task {task!r}", known),
        heads=chosen,
    )


def _score(node: Located, measures: Mapping[str, Measure]) -> Score:
    fields = node.fields(("title", "terms", "points", "bands"), ("title", "terms", "points", "bands"))
    return Score(
        title=fields["title"].text(),
        terms=tuple(_term(item, measures) for item in fields["terms"].items()),
        points=parse_points(fields["points"]),
        bands=_levels(fields["bands"]),
    )


def _term(node: Located, measures: Mapping[str, Measure]) -> Term:
    fields = node.fields(("measure", "weight", "over", "from"), ("measure", "weight"))
    name = fields["measure"].choice("measure", measures)
    if not measures[name].task:
        fields["measure"].fail(f"{name!r} is of no task; a score is of metrics of tasks")
    over = fields["over"].number() if "over" in fields else 1.0
    if over <= 0:
        fields["over"].expected("a number above 0")
    start = fields["from"].number() if "from" in fields else None
    return Term(measure=name, weight=fields["weight"].number(), over=over, start=start)


def _criterion(node: Located, measured: Mapping[str, Measure | Score]) -> Criterion:
    known = ("title", "measure", "point", "points", "which", "against", "levels")
    fields = node.fields(known, ("title", "measure", "levels"))
    if ("point" in fields) == ("points" in fields):
        node.fail(f"{node.name} has {'both' if 'point' in fields else 'neither'} 'point' and 'points', expected one")
    name = fields["measure"].choice("measure or score", measured)
    own = measured[name]
    is_bytes = isinstance(own, Measure) and own.is_bytes
    diverged = isinstance(own, Measure) and own.diverged
    against = parse_points(fields["against"]) if "against" in fields else ()
    if is_bytes and not against:
        node.fail(f"{node.name} is of bytes, which say something against those of other points; add 'against'")
    if against and isinstance(own, Measure) and own.words:
        node.fail(f"{node.name} is of words, whose points are not subtracted; leave out 'against'")
    if against and not is_bytes and (len(against) > 1 or "point" not in fields or isinstance(own, Score)):
        node.fail(f"{node.name} is a difference, expected a metric at one 'point' and one point 'against' it")
    if diverged and ("points" not in fields or against):
        node.fail(f"{node.name} counts runs, of all 'points' together; expected 'points', and none 'against' them")
    several = "points" in fields and not is_bytes and not diverged
    if several != ("which" in fields):
        node.fail(f"{node.name} needs 'which', all or any, where it has 'points' of a metric or score, and only there")
    return Criterion(
        title=fields["title"].text(),
        measure=name,
        points=parse_points(fields["points"])
        if "points" in fields
        else (parse_point(fields["point"], (RECOMMENDED,)),),
        which=fields["which"].choice("word", ("all", "any")) if several else "one",
        against=against,
        levels=_levels(fields["levels"]),
    )


def _levels(node: Located) -> dict[str, Threshold]:
    levels = {name: _threshold(inner) for name, inner in node.named().items()}
    if not levels:
        node.expected("names with thresholds, such as 'target: \"> 0.7\"'")
    return levels


def _threshold(node: Located) -> Threshold:
    try:
        return Threshold.parse(node.text())
    except ValueError:
        node.expected("a threshold such as '> 0.7'")


def _decision(node: Located, claims: frozenset[str]) -> tuple[Branch, ...]:
    branches = tuple(_branch(item, claims) for item in node.items())
    for number, branch in enumerate(branches, start=1):
        if branch.when is None and number < len(branches):
            node.fail(f"the branch {branch.name!r} is for all other cases, so that it has to be the last one")
    if not branches or branches[-1].when is not None:
        node.fail("the last branch of 'decision' needs 'when: otherwise', for all other cases")
    return branches


def _branch(node: Located, claims: frozenset[str]) -> Branch:
    fields = node.fields(("branch", "when", "means", "next", "fallback"), ("branch", "when", "means", "next"))
    when: Condition | None = None
    if fields["when"].value != _OTHERWISE:
        when = parse_condition(fields["when"], claims)
    return Branch(
        name=fields["branch"].text(),
        when=when,
        means=fields["means"].text(),
        next=fields["next"].text(),
        fallback=parse_point(fields["fallback"]) if "fallback" in fields else "",
    )


def _failure(node: Located, claims: frozenset[str]) -> Failure:
    fields = node.fields(("hard", "soft", "means"), ("means",))
    if ("hard" in fields) == ("soft" in fields):
        node.fail(f"{node.name} needs one of 'hard' and 'soft', with the claim")
    claim = (fields.get("hard") or fields["soft"]).choice("claim", claims)
    return Failure(claim=claim, is_hard="hard" in fields, means=fields["means"].text())


def _curve(node: Located, measured: Mapping[str, Measure | Score]) -> Curve:
    fields = node.fields(("title", "measure", "points", "falls"), ("title", "measure", "points", "falls"))
    return Curve(
        title=fields["title"].text(),
        measure=fields["measure"].choice("measure or score", measured),
        points=parse_points(fields["points"]),
        falls=_threshold(fields["falls"]),
    )


def _recommendation(node: Located, measures: Mapping[str, Measure]) -> Recommendation:
    fields = node.fields(("measure", "points"), ("measure", "points"))
    name = fields["measure"].choice("measure", measures)
    if not measures[name].task or measures[name].metric != tasks.load(measures[name].task).primary:
        fields["measure"].fail(f"{name!r} is not the metric by which validation chooses; name one that is")
    return Recommendation(measure=name, points=parse_points(fields["points"]))


def _raters(node: Located, measures: Mapping[str, Measure]) -> Raters:
    fields = node.fields(("measure", "points", "questions", "samples"), ("measure", "points", "questions"))
    return Raters(
        measure=fields["measure"].choice("measure", measures),
        points=parse_points(fields["points"]),
        questions=fields["questions"].texts(),
        samples=fields["samples"].whole(1) if "samples" in fields else _RATED,
    )


def _expected(node: Located, name: str, measured: Collection[str]) -> dict[str, tuple[float, float]]:
    if name not in measured:
        node.fail(f"unknown measure or score {name!r}{nearest(name, measured)}")
    ranges = {}
    for point, inner in node.named().items():
        ends = [item.number() for item in inner.items()]
        if len(ends) != 2 or ends[0] > ends[1]:
            inner.expected("the ends of a range, as in [0.6, 0.75]")
        ranges[point] = (ends[0], ends[1])
    return ranges
