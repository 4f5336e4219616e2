"""Models of the hub: a snapshot of their files in the hub's cache, fetched or found there as something else left it.

A model that is a part of another one's repository lies in a folder of it: `org/name/vae`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from foresight_cache.encoders.weights.checkpoint_files import INDEX, WEIGHTS
from foresight_cache.errors import ModelError

UNNEEDED = ("*/*", "consolidated*", "trainer_state.json", "all_results.json", "*_results.json", "*.metadata.json")
"""Patterns of files that lie beside a model and that nobody reads: folders, other programs' weights, logs."""

_NEEDED: tuple[tuple[str, ...], ...] = (
    ("config.json",),
    (WEIGHTS, INDEX),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "tokenizer.model", "vocab.json"),
)
"""Files that a model has under one of these names."""
_T = TypeVar("_T")


def split_revision(model: str) -> tuple[str, str | None]:
    """Returns a hub id and the revision behind it.

    >>> split_revision("org/name@v1.0"), split_revision("org/name")
    (('org/name', 'v1.0'), ('org/name', None))
    """
    name, _, revision = model.partition("@")
    return name, revision or None


def _split_folder(name: str) -> tuple[str, str]:
    """Returns the repository of a hub id and, with a slash behind it, the folder in it.

    >>> _split_folder("org/name/vae"), _split_folder("org/name"), _split_folder("name")
    (('org/name', 'vae/'), ('org/name', ''), ('name', ''))
    """
    parts = name.split("/")
    return "/".join(parts[:2]), "".join(f"{part}/" for part in parts[2:])


def config_file(model: str) -> Path:
    """Returns the configuration of a hub id, which is fetched unless it is in the hub's cache. Raises `ModelError`."""
    name, revision = split_revision(model)
    repository, folder = _split_folder(name)
    return Path(
        _from_hub(model, lambda hub: hub.hf_hub_download(repository, f"{folder}config.json", revision=revision))
    )


def snapshot(model: str, patterns: Sequence[str]) -> Path:
    """Returns the directory of a hub id's files; those that match `patterns` are fetched if the hub can be reached.

    Where it cannot, what lies in the hub's cache is taken as it is. Raises `ModelError` where there is nothing.
    """
    name, revision = split_revision(model)
    repository, folder = _split_folder(name)
    wanted, unneeded = ([f"{folder}{pattern}" for pattern in each] for each in (patterns, UNNEEDED))
    options = {"revision": revision, "allow_patterns": wanted, "ignore_patterns": unneeded}
    try:
        return Path(_from_hub(model, lambda hub: hub.snapshot_download(repository, **options))) / folder
    except ModelError:
        if kept := kept_directory(model):
            return kept
        raise


def kept_directory(model: str) -> Path | None:
    """Returns the directory in the hub's cache with the configuration of a hub id; None where it is not there."""
    import huggingface_hub

    name, revision = split_revision(model)
    repository, folder = _split_folder(name)
    try:
        found = huggingface_hub.try_to_load_from_cache(repository, f"{folder}config.json", revision=revision)
    except huggingface_hub.errors.HFValidationError:  # of a text that is no hub id
        return None
    return Path(found).parent if isinstance(found, str) else None


def commit_of(path: Path) -> str | None:
    """Returns the commit of a snapshot in the hub's cache, or of a folder in it; None for a directory of one's own.

    >>> commit_of(Path("hub/models--org--name/snapshots/0a1b2c"))
    '0a1b2c'
    >>> commit_of(Path("hub/models--org--name/snapshots/0a1b2c/vae"))
    '0a1b2c'
    """
    return next((place.name for place in (path, path.parent) if place.parent.name == "snapshots"), None)


@contextmanager
def told_if_partial(path: Path, patterns: Sequence[str]) -> Iterator[None]:
    """Raises a `ModelError` that names what a snapshot lacks in place of one that follows from it."""
    try:
        yield
    except ModelError as error:
        if commit_of(path) is None or not (absent := absent_files(path, patterns)):
            raise
        name = path.parents[1].name.removeprefix("models--").replace("--", "/")
        listed = ", ".join(absent[:8]) + (" …" if len(absent) > 8 else "")
        raise ModelError(
            f"the snapshot {path.name} of {name} in the hub's cache is not whole: {listed} "
            f"{'is' if len(absent) == 1 else 'are'} missing; where there is a network run "
            f"'hf download {name} --revision {path.name}'"
        ) from error


def absent_files(path: Path, patterns: Sequence[str]) -> list[str]:
    """Lists what a snapshot lacks: by the hub's own list of its files where that was kept, else by what a model has."""
    try:
        listed = json.loads((path.parents[1] / "trees" / f"{path.name}.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        wanted = [names for names in _NEEDED if any(fnmatch(name, pattern) for name in names for pattern in patterns)]
        return [" or ".join(names) for names in wanted if not any((path / name).exists() for name in names)]
    return sorted(
        name
        for name in listed
        if any(fnmatch(name, pattern) for pattern in patterns)
        and not any(fnmatch(name, pattern) for pattern in UNNEEDED)
        and not (path / name).exists()
    )


def _from_hub(model: str, fetch: Callable[[Any], _T]) -> _T:
    """Returns what `fetch(huggingface_hub)` does, with the hub's many errors as one sentence."""
    import huggingface_hub
    from huggingface_hub import errors

    # The base class of whichever HTTP library this version of the hub's client uses.
    connection_error: type[Exception] = vars(errors)["HTTPError"]
    try:
        return fetch(huggingface_hub)
    except errors.GatedRepoError as error:
        raise ModelError(
            f"model {model!r} is gated on the hub; accept its terms there and log in with 'hf auth login'"
        ) from error
    except errors.RevisionNotFoundError as error:
        name, revision = split_revision(model)
        raise ModelError(
            f"model {name!r} has no revision {revision!r} on the hub; see its branches and tags"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(f"model {model!r} is neither a local directory nor a public model on the hub") from error
    except errors.RemoteEntryNotFoundError as error:
        raise ModelError(
            f"model {model!r} on the hub has no config.json, so its family is unknown; merge an adapter first, in "
            f"place of weights of another program (GGUF, timm, open_clip) take those made for transformers, and of a "
            f"pipeline of diffusers name the model's folder behind it, as in org/name/vae"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise ModelError(f"{_not_in_cache(model)}, and the hub cannot be reached; {_ELSEWHERE}") from error
    except (OSError, ValueError, connection_error) as error:
        raise ModelError(
            f"model {model!r} is not a local directory and could not be fetched from the hub ({first_line(error)}); "
            f"{_ELSEWHERE}"
        ) from error


_ELSEWHERE = "check the network, or download the model elsewhere and name its directory"


def _not_in_cache(model: str) -> str:
    """Returns what the hub's cache has not, and which commits of the model it has."""
    from huggingface_hub import constants

    name, revision = split_revision(model)
    repository = _split_folder(name)[0]
    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
    commits = sorted(path.name for path in snapshots.iterdir()) if snapshots.is_dir() else []
    if not commits:
        return f"model {model!r} is neither a local directory nor in the hub's cache"
    return (
        f"config.json of {name} at the revision {revision or 'main'!r} is not in the hub's cache, "
        f"which has the commits {', '.join(commits)}"
    )


def first_line(error: Exception) -> str:
    """Returns what another library has to say, as part of one sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
