"""The identity of a run: all that its result depends on, which tells a finished run from one that is wanted."""

from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, identity, load_result, result_path
from foresight_probes.splits import Split
from foresight_probes.training.run_spec import RunSpec


def run_identity(cache: Cache, point: str, run: RunSpec, split: Split, options: TrainingOptions) -> dict[str, Any]:
    """Returns all that a result depends on, by name."""
    return {
        **{"run": str(run), "point": point},
        **{"cache": cache.digest, "data": data_digest(cache), "split": split.digest},
        **run.options(options).recipe(),
    }


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
        "dataset": fingerprint.get("dataset", {}).get("name", ""),
        "media": next((row["media"] for row in cache.rows), ""),
    }


def finished_result(
    cache: Cache, point: str, run: RunSpec, split: Split, options: TrainingOptions, out: Path
) -> Result | None:
    """Returns the result that `out` has of a run; None where it has none.

    Raises `ProbeError` where it is of another cache, split or recipe, with the names of what differs.
    """
    path = result_path(out, task=run.task, point=point, run=run.name)
    if not path.exists():
        return None
    result = load_result(path)
    parts = run_identity(cache, point, run, split, options)
    if result.identity == identity(parts):
        return result
    stored = {
        **result.options,
        **{"cache": result.cache.get("digest"), "data": result.cache.get("data"), "split": result.split.get("digest")},
    }
    differing = sorted(name for name in stored.keys() & parts.keys() if stored[name] != parts[name])
    raise ProbeError(
        f"{path} is the result of another run, whose {', '.join(differing) or 'head'} differed; "
        "write to another --out, or remove it to train that run again"
    )
