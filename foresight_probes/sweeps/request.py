"""A sweep as a YAML file or as words of a command line, under the same names."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from foresight_cache.errors import UnknownName, UsageError
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.plan import Sweep
from foresight_probes.training.loggers import NAMES as LOGGERS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SweepRequest:
    """A sweep and how it is to be carried out, which its results do not depend on."""

    sweep: Sweep
    devices: int = 1
    """Processes that share out the points, each with a GPU of its own where there are GPUs."""
    loggers: tuple[str, ...] = ("csv",)
    """Where each epoch's validation values go: csv, tensorboard, wandb, none."""


def request(given: Mapping[str, Any], config: Path | None = None) -> SweepRequest:
    """From names and values, of which those that are not None replace what stands in the file.

    Raises `UsageError` for a value that is not possible or a file that cannot be read, and `UnknownName`, with the
    nearest, for a name that does not exist.
    """
    settings = _from_yaml(config) if config else {}
    settings |= {name: value for name, value in given.items() if value is not None}
    if "task" not in settings:
        raise UsageError("no task was named; name one, for example --task boxes.")
    lists = {name: _list(name, settings[name]) for name in _LISTS if name in settings}
    if isinstance(settings.get("weight_decay"), int | float):  # one number is the option, a list or text is a grid
        del lists["weight_decay"]
    training = {name: value for name, value in settings.items() if name in _training() and name not in lists}
    weights = settings.get("lpips_weights")
    devices = settings.get("devices", 1)
    if type(devices) is not int or devices < 1:
        raise UsageError(f"devices is {devices!r}, expected a whole number of at least 1.")
    return SweepRequest(
        sweep=Sweep(
            tasks=lists["task"],
            points=lists.get("points"),
            heads=lists.get("heads"),
            seeds=lists.get("seeds", (0,)),
            learning_rates=lists.get("lr", ()),
            weight_decays=lists.get("weight_decay", ()),
            options=TrainingOptions(**{name: _NUMBERS.get(name, _as_is)(value) for name, value in training.items()}),
            lpips_weights=Path(weights) if weights else None,
        ),
        devices=devices,
        loggers=_known_loggers(lists.get("logger", ("csv",))),
    )


def names() -> tuple[str, ...]:
    """All that a file may name."""
    return (*_LISTS, "devices", "lpips_weights", *(name for name in _training() if name not in _LISTS))


def _training() -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(TrainingOptions))


def _from_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration {path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict | None):
        raise UsageError(f"the configuration {path} holds a {type(content).__name__}, expected names with values.")
    for name in content or {}:
        if name not in names():
            raise UnknownName(f"option in {path}", str(name), names())
    return content or {}


def _list(name: str, value: Any) -> tuple[Any, ...]:
    """One value, several, or a text with commas between them."""
    values = value if isinstance(value, list | tuple) else [value]
    parts = [part.strip() for each in values for part in str(each).split(",") if part.strip()]
    try:
        return tuple(map(_LISTS[name], parts))
    except ValueError:
        example = {"seeds": "0,1", "lr": "1e-4,1e-3", "weight_decay": "0,0.1"}[name]
        raise UsageError(f"{name} is {value!r}, expected numbers, for example {example}.") from None


def _known_loggers(given: tuple[str, ...]) -> tuple[str, ...]:
    for name in given:
        if name not in LOGGERS:
            raise UnknownName("logger", name, LOGGERS)
    return given


def _as_is(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    """YAML takes 1e-3 for a text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _numbers(value: Any) -> Any:
    return [_number(each) for each in value] if isinstance(value, list | tuple) else value


_LISTS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("task", "points", "heads", "logger"), str),
    **{"seeds": int, "lr": float, "weight_decay": float},
}
_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "learning_rate": _number,
    "train_share": _number,
    "validation_share": _number,
    "confidence": _number,
    "strengths": _numbers,
}
