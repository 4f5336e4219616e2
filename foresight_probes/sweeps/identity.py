"""The identity of a run: all that its result depends on, which tells a finished run from one that is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.controls import Control, parts
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, identity, load_result, result_path
from foresight_probes.splits import Split
from foresight_probes.sweeps.failed_runs import FailedRun, record_failure, recorded_failure
from foresight_probes.tasks import Task
from foresight_probes.training.run_spec import RunSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStore:
    """The folder of a sweep's results, in which a finished run is known by all that its result depends on."""

    cache: Cache
    split: Split
    options: TrainingOptions
    out: Path
    controls: Mapping[str, Control] = field(default_factory=dict)
    """The sweep's controls by name."""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    """The sweep's tasks by name, those of controls among them."""
    of_fold: bool = False
    """True where results are of a fold, on whose few samples a primary metric need not be defined."""

    def path(self, point: str, run: RunSpec) -> Path:
        """Returns the path of a run's result; the names of point and task may be those of a control."""
        (task, control), (own, _) = parts(run.task), parts(point)
        return result_path(self.out, task=task, point=own, run=run.name, control=control)

    def identity_of(self, point: str, run: RunSpec) -> dict[str, Any]:
        """Returns all that a run's result depends on, by name."""
        constant = point == MEAN_PREDICTOR
        return {
            **{"run": str(run), "point": point},
            **{"cache": self.cache.digest, "data": data_digest(self.cache), "split": self.split.digest},
            **({"answers": self.cache.answers.digest} if self.cache.answers else {}),
            **self.read_beside(parts(run.task)[1]),
            **(constant_recipe(run.options(self.options)) if constant else run.options(self.options).recipe()),
        }

    def read_beside(self, control: str) -> dict[str, str]:
        """Returns the digests of the cache that a control reads beside the sweep's own, by name."""
        other = self.controls[control].reads if control else None
        return {"twin": other.digest, "twin_data": data_digest(other)} if other else {}

    def finished(self, point: str, run: RunSpec) -> Result | None:
        """Returns the result of a run; None where there is none yet, or one without a metric that can be measured now.

        Raises `ProbeError` where it is of another cache, split or recipe, with the names of what differs.
        """
        path = self.path(point, run)
        if not path.exists():
            return None
        result = load_result(path, of_fold=self.of_fold)
        parts = self.identity_of(point, run)
        if result.identity == identity(parts):
            missing = self.tasks[run.task].not_measured if run.task in self.tasks else result.not_measured
            return result if result.not_measured.keys() <= missing.keys() else None
        stored = {
            **result.options,
            **{"cache": result.cache.get("digest"), "data": result.cache.get("data")},
            **{name: result.cache[name] for name in ("twin", "twin_data") if name in result.cache},
            **({"answers": result.cache["answers"]["digest"]} if "answers" in result.cache else {}),
            "split": result.split.get("digest"),
        }
        both = (stored.keys() & parts.keys()) | ({"answers"} & (stored.keys() ^ parts.keys()))
        differing = sorted(name for name in both if stored.get(name) != parts.get(name))
        raise ProbeError(
            f"{path} is the result of another run, whose {', '.join(differing) or 'head'} differed; "
            "write to another --out, or remove it to train that run again"
        )

    def failed(self, point: str, run: RunSpec) -> FailedRun | None:
        """Returns why a run has no result and would not have one again; None where nothing is known of it."""
        return recorded_failure(point, self.path(point, run), identity(self.identity_of(point, run)))

    def record(self, failed: FailedRun, run: RunSpec) -> None:
        """Keeps why a run has no result, if it would fail again."""
        if failed.is_final:
            record_failure(failed, self.path(failed.point, run), identity(self.identity_of(failed.point, run)))


def constant_recipe(options: TrainingOptions) -> dict[str, Any]:
    """Returns the options that the mean predictor depends on: those of the split, the question and the intervals."""
    names = ("train_share", "validation_share", "column", "perceptual_weight", "resamples", "confidence")
    return {name: options.to_json()[name] for name in names}


def data_digest(cache: Cache) -> str:
    """Returns the digest of what the features were made from: the committed shards' tars.

    The fingerprint says only how they were made.
    """
    return identity({str(commit.shard): commit.source_sha256 for commit in cache.commits})


def provenance(cache: Cache) -> dict[str, Any]:
    """Returns the facts about a cache that a result stores (`Result.cache`)."""
    fingerprint = cache.fingerprint
    return {
        "digest": cache.digest,
        "data": data_digest(cache),
        "path": cache.path,
        "model": fingerprint.get("model", {}),
        "fingerprint": {name: value for name, value in fingerprint.items() if name != "model"},
        "dataset": fingerprint.get("dataset", {}).get("name", ""),
        "media": next((row["media"] for row in cache.rows), ""),
        **({"answers": {"digest": cache.answers.digest, "path": cache.answers.place}} if cache.answers else {}),
    }
