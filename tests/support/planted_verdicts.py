"""Studies carried out on planted caches, by heads that are solved or start from a solution, in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.calibration.scenes import World
from foresight_probes.options import TrainingOptions
from foresight_probes.studies.joining import join
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import carry_out
from foresight_probes.studies.study import Study
from foresight_probes.studies.verdict import Findings
from tests.support import planted_stages

SEEDS = range(2, 20)
"""Seeds of `make study-test`; two more are tried with the slow tests."""
QUICK = TrainingOptions(epochs=1, learning_rate=1e-3, device="cpu", patience=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """A dataset of a study, planted."""

    world: World
    points: Mapping[str, str]
    """Planted points by taps."""
    samples: int = 150
    """Samples that train; a fifth as many select, and 110 are tested, since mAP needs 100."""


def carried_out(
    study: Study, folder: Path, seed: int, datasets: Mapping[str, Planted], heads: Mapping[str, str], lpips: Path | None
) -> Findings:
    """Returns the findings of a study of which only some groups of runs are trained, each by one head.

    Args:
        study: The study.
        folder: Folder for caches and runs.
        seed: Seed of the scenes.
        datasets: What is planted, by the study's names of datasets.
        heads: The one head by group of runs; groups that are not named are not measured.
        lpips: Folder with the weights of LPIPS.
    """
    for name, own in datasets.items():
        cache = PlantedCache(
            world=own.world, train=own.samples, validation=max(30, own.samples // 5), test=110, seed=seed, rows=8
        )
        planted_stages.write(folder / name, cache, own.points)
    runs = {
        name: replace(study.runs[name], heads=(head,), controls=False, options=QUICK) for name, head in heads.items()
    }
    trained = replace(study, runs=runs, datasets={name: study.datasets[name] for name in datasets})
    joined = join(trained, [f"{name}={folder / name}" for name in datasets])
    plan = plan_study(trained, joined, folder / "out", Settings(lpips_weights=lpips))
    others = {name: "left out of this test" for name in study.runs if name not in heads}
    whole = replace(study, runs={**study.runs, **runs})
    return carry_out(replace(plan, study=whole, missing={**plan.missing, **others})).findings
