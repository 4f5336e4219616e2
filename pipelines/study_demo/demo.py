"""The way of a study's demo up to its plan: data drawn, features extracted, cheaper runs planned."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.study_demo.cheaper_study import CHANGES, demo_study
from pipelines.study_demo.drawn_caches import DEMO, MODEL, SIZE, Scale, make_caches

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
    variant = demo_study(study)
    plan = plan_study(variant, join(variant, places), out, settings)
    return replace(plan, remarks=(_remark(scale), *plan.remarks))


def _remark(scale: Scale) -> str:
    return (
        f"a demo, of which no number is a finding: {scale.images:,} drawn images and {scale.clips:,} drawn clips of "
        f"each kind at {SIZE}, {MODEL} with random weights; {'; '.join(CHANGES)}; criteria, thresholds and decision "
        "are those of the study"
    )
