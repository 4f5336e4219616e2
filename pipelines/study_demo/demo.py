"""The way of a study's demo up to its plan: data drawn, features extracted, cheaper runs planned."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.study_demo.cheaper_study import CHANGES, demo_study
from pipelines.study_demo.demo_answers import CHOICES, make_answers
from pipelines.study_demo.demo_words import make_indices
from pipelines.study_demo.drawn_caches import DEMO, MODEL, SIZE, Scale, is_asked, make_caches

if TYPE_CHECKING:
    from foresight_probes.studies.planning import Settings, StudyPlan
    from foresight_probes.studies.study import Study

DATA = "demo"
"""Folder, in that of a study, of what its demo draws and extracts."""


def plan_demo(study: "Study", out: Path, settings: "Settings", scale: Scale = DEMO) -> "StudyPlan":
    """Makes the caches of a demo in `out` where they are not finished, and returns the plan of its variant of a study.

    Raises `UsageError` where nothing is drawn for a dataset of the study, and as `plan_study` does.
    """
    from foresight_probes.studies.joining import join
    from foresight_probes.studies.planning import plan_study

    places = make_caches(study, out / DATA, scale)
    answers = make_answers(study, out / DATA)
    settings = replace(settings, indices=tuple(make_indices(study, out / DATA)))
    variant = demo_study(study)
    plan = plan_study(variant, join(variant, places, answers=answers), out, settings)
    return replace(plan, remarks=(_remark(study, scale), *plan.remarks))


def _remark(study: "Study", scale: Scale) -> str:
    asked = any(map(is_asked, study.datasets.values()))
    drawn = f"{scale.questions:,} questions about drawn images, answered by {' or '.join(CHOICES)}," if asked else ""
    drawn = drawn or f"{scale.images:,} drawn images and {scale.clips:,} drawn clips of each kind"
    changes = "".join(f"{change}; " for change in CHANGES) if study.runs else ""
    return (
        f"a demo, of which no number is a finding: {drawn} at {SIZE}, {MODEL} with random weights; "
        f"{changes}criteria, thresholds and decision are those of the study"
    )
