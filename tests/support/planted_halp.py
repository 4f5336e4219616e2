"""The study halp on planted questions, by few and quick runs."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from foresight_probes.options import TrainingOptions
from foresight_probes.studies.joining import join
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import Carried, carry_out
from foresight_probes.studies.study import Study
from pipelines import studies
from tests.support.planted_question_caches import QUERY, VISION, Asked, World, judged, questions, write

QUICK = TrainingOptions(train_share=0.4, validation_share=0.15, epochs=1, learning_rate=1e-3, patience=1, device="cpu")


def carried_out(
    folder: Path, world: World, groups: Collection[str] = ("detectors",), *, controls: bool = False
) -> Carried:
    """Carries out some groups of runs of the study on a world; the others are not measured."""
    return carried_out_on(folder, questions(world), groups, controls=controls)


def carried_out_on(
    folder: Path, asked: list[Asked], groups: Collection[str] = ("detectors",), *, controls: bool = False
) -> Carried:
    """The same on questions as they are."""
    write(folder / "questions", asked)
    places, twins = [f"questions={folder / 'questions'}"], []
    if "question-alone" in groups:
        write(folder / "question-alone", asked, blank="grey", keep=(QUERY,))
        places.append(str(folder / "question-alone"))
    if "image-alone" in groups:
        write(folder / "image-alone", asked, prompt="", keep=(VISION,))
        places.append(str(folder / "image-alone"))
    if controls:
        write(folder / "twin", asked, keep=(), weights="random")
        twins.append(str(folder / "twin"))
    answers = str(judged(folder / "judged.jsonl", asked))
    whole = studies.load("halp")
    study = _quick(whole, groups, controls=controls)
    joined = join(study, places, answers=[answers])
    plan = plan_study(study, joined, folder / "out", Settings(twins=tuple(twins)))
    others = {name: "left out of this test" for name in whole.runs if name not in groups}
    full = replace(study, runs={**whole.runs, **study.runs})
    return carry_out(replace(plan, study=full, missing={**plan.missing, **others}))


def _quick(study: Study, groups: Collection[str], *, controls: bool) -> Study:
    runs = {
        name: replace(
            study.runs[name],
            controls=controls and study.runs[name].controls,
            options=replace(QUICK, column=study.runs[name].options.column),
        )
        for name in groups
    }
    return replace(study, runs=runs)
